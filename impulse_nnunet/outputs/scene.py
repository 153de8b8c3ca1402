"""Surfaces of a case with their names and colours, as the files of a scene hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.colours import RGB
from impulse_nnunet.outputs.surfaces import LabelSurface

LPS, RAS = "LPS", "RAS"
SPACES = (LPS, RAS)
NOTE = "made by impulse_nnunet; not a medical device"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One surface of a scene.

    Args:
        name: What it is, for people.
        file_name: The same for file systems and formats that know no spaces.
        colour: Red, green and blue from 0 to 1.
        surface: In the scene's space.
    """

    name: str
    file_name: str
    colour: RGB
    surface: LabelSurface

    @property
    def colour_bytes(self) -> tuple[int, int, int]:
        """Red, green and blue from 0 to 255."""
        red, green, blue = (round(255 * value) for value in self.colour)
        return red, green, blue


@dataclass(frozen=True)
class Scene:
    """The surfaces of a case.

    Args:
        case: Identifier.
        parts: In the order of their labels.
        space: ``LPS`` or ``RAS``: to where x, y and z of the points grow (patient's left, back, head; or right, front,
            head). Units are mm.
    """

    case: str
    parts: tuple[Part, ...]
    space: str = LPS

    def in_space(self, space: str) -> Scene:
        """The same scene in another space.

        Raises:
            InputError: A space that is none.
        """
        if space not in SPACES:
            raise InputError("`space`", repr(space), " or ".join(SPACES), "choose one")
        if space == self.space:
            return self
        turn = np.array([-1.0, -1.0, 1.0])  # half a turn about z: triangles go on facing outwards
        parts = [replace(p, surface=replace(p.surface, points=p.surface.points * turn)) for p in self.parts]
        return Scene(self.case, tuple(parts), space)


def scene_of(
    case: str,
    surfaces: Mapping[int, LabelSurface],
    names: Mapping[int, str],
    file_names: Mapping[int, str],
    colours: Mapping[int, RGB],
) -> Scene:
    """A scene in LPS of surfaces as :func:`~impulse_nnunet.outputs.surfaces.label_surfaces` makes them."""
    parts = [
        Part(name=names[label], file_name=file_names[label], colour=colours[label], surface=surface)
        for label, surface in surfaces.items()
    ]
    return Scene(case, tuple(parts))
