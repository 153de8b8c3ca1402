"""The four kinds of input of the segment stage (paper, Table 4): which channels each has, and writing them.

``i``: the CT. ``ibav``: the CT and masks of bronchi, arteries and veins. ``l``: the five lobes, one mask each.
``lbav``: lobes and masks, no image at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dataset_json import CHANNELS_KEY, channel_names, channel_titles
from impulse_nnunet.io.files import link_whole
from impulse_nnunet.io.label_maps import write_label_map
from impulse_nnunet.lungs.anatomy import BAV, LOBES

IMAGE = "CT"
MASK = "noNorm"  # nnU-Net's name for a channel that is not normalised
INPUTS: dict[str, tuple[str, ...]] = {
    "i": (IMAGE,),
    "ibav": (IMAGE, *BAV),
    "l": tuple(LOBES),
    "lbav": (*LOBES, *BAV),
}


def needs_image(kind: str) -> bool:
    """Whether the CT is a channel."""
    return IMAGE in INPUTS[kind]


def needs_bav(kind: str) -> bool:
    """Whether bronchi, arteries and veins are channels."""
    return BAV[0] in INPUTS[kind]


def needs_lobes(kind: str) -> bool:
    """Whether the lobes are channels."""
    return next(iter(LOBES)) in INPUTS[kind]


def channel_entries(kind: str) -> dict[str, Any]:
    """What dataset.json says of the channels: nnU-Net's names, and ours of what they show."""
    titles = INPUTS[kind]
    names = {str(channel): IMAGE if title == IMAGE else MASK for channel, title in enumerate(titles)}
    return {"channel_names": names, CHANNELS_KEY: list(titles)}


def kind_of(dataset_json: Mapping[str, Any], where: str) -> str:
    """Which kind of input a data set or a trained model takes; a CT alone needs no entry of ours.

    Args:
        dataset_json: Content of its dataset.json.
        where: The file, for messages.

    Raises:
        InputError: It is none of the four.
    """
    titles = channel_titles(dataset_json)
    if titles is None and channel_names(dataset_json) == [IMAGE]:
        return "i"
    kind = next((kind for kind, wanted in INPUTS.items() if titles is not None and tuple(titles) == wanted), None)
    if kind is None:
        raise InputError(
            where,
            f"{CHANNELS_KEY} {titles}",
            " or ".join(INPUTS),
            "use a data set of impulse_nnunet build_inputs or convert_lung3d, or a model that was trained on one",
        )
    return kind


def channel_file(folder: Path, case: str, channel: int, ending: str) -> Path:
    """nnU-Net's name of a channel's file."""
    return folder / f"{case}_{channel:04d}{ending}"


def write_channels(
    kind: str, case: str, image: Path, masks: Mapping[str, np.ndarray], folder: Path, ending: str
) -> list[Path]:
    """Write the channels of a case; each file appears only when it is whole.

    Args:
        kind: One of :data:`INPUTS`.
        case: Case identifier.
        image: The CT, or any image on the same grid where the CT is not a channel.
        masks: What is shown -> (d, h, w) mask on the image's grid, for all channels but the CT.
        folder: E.g. imagesTr.
        ending: Extension of the files.

    Returns:
        The files, in the order of the channels.
    """
    files = []
    for channel, title in enumerate(INPUTS[kind]):
        file = channel_file(folder, case, channel, ending)
        if title == IMAGE:
            link_whole(image, file)
        else:
            write_label_map(masks[title], image, file)
        files.append(file)
    return files
