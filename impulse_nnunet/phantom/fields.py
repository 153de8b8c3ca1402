"""Names of a body's fields: signed distances in mm on the working grid, positive inside, the last axis of one array."""

from __future__ import annotations

from typing import Final

SKIN: Final = 0
MUSCLE: Final = 1
CAVITY: Final = 2  # the pleural space and the mediastinum, to the inner side of the ribs
LUNG: Final = 3
HEART: Final = 4
BLOOD: Final = 5  # the heart's chambers
BELOW: Final = 6  # under the diaphragm
LIVER: Final = 7
ORGANS: Final = 8  # stomach and spleen
GAS: Final = 9  # in the stomach
BONE: Final = 10
CARTILAGE: Final = 11
VESSELS: Final = 12  # aorta, its branches, superior vena cava
OESOPHAGUS: Final = 13
SIDE: Final = 14  # position from right to left in the standard patient
OBLIQUE: Final = 15  # positive in the lower lobes
HORIZONTAL: Final = 16  # positive in the middle lobe, where OBLIQUE is negative
TEXTURE: Final = 17  # smooth variation of the lung's density, mean 0, standard deviation 1
NUMBER_OF_FIELDS: Final = 18
