"""What our own entries of a dataset.json say: what each channel shows, and where trees lie that are no channels.

nnU-Net reads a channel's normalisation from its name, so several masks all have to be called ``noNorm``. What they show
stands in an entry of ours, which nnU-Net copies along and leaves alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from impulse_nnunet.errors import InputError

CHANNELS_KEY = "impulse_channels"  # e.g. ["CT", "bronchus", "artery", "vein"]
TREES_KEY = "impulse_trees"  # folders of masks, relative to the raw data set, e.g. ["trees/airway", "trees/artery"]
TREE_CHANNELS = ("bronchus", "artery", "vein")


def channel_names(dataset_json: Mapping[str, Any]) -> list[str]:
    """nnU-Net's names of the channels, which are their normalisation schemes."""
    return list(dataset_json.get("channel_names", dataset_json.get("modality", {})).values())


def channel_titles(dataset_json: Mapping[str, Any]) -> list[str] | None:
    """What each channel shows, or None where the data set does not say.

    Raises:
        InputError: The entry does not fit the channels.
    """
    titles = dataset_json.get(CHANNELS_KEY)
    if titles is None:
        return None
    number = len(channel_names(dataset_json))
    if not _is_list_of_text(titles) or len(titles) != number:
        raise InputError(
            f"dataset.json, {CHANNELS_KEY}", f"{titles!r:.80}", f"a list of {number} names, one for each channel",
            "mend the entry or leave it out",
        )  # fmt: skip
    return list(titles)


def sampled_channels(dataset_json: Mapping[str, Any], masks: Sequence[int]) -> tuple[int, ...]:
    """Channels inside which a share of the training points is drawn.

    Args:
        dataset_json: Content of dataset.json.
        masks: Channels that nnU-Net leaves unnormalised.

    Returns:
        Those of the trees where the data set says what its channels show, else all masks.
    """
    titles = channel_titles(dataset_json)
    return tuple(channel for channel in masks if titles is None or titles[channel] in TREE_CHANNELS)


def tree_folders(dataset_json: Mapping[str, Any]) -> tuple[str, ...]:
    """Folders of tree masks, ``FOLDER/CASE.nii.gz``, relative to the raw data set.

    Raises:
        InputError: The entry is no list of relative folders.
    """
    folders = dataset_json.get(TREES_KEY, [])
    if not _is_list_of_text(folders) or any(folder.startswith("/") or ".." in folder for folder in folders):
        raise InputError(
            f"dataset.json, {TREES_KEY}", f"{folders!r:.80}", 'a list of folders in the data set, e.g. ["trees/vein"]',
            "mend the entry or leave it out",
        )  # fmt: skip
    return tuple(folders)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
