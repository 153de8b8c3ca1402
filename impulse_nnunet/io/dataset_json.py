"""dataset.json: where it lies, what it must hold, its channels, and our own entries.

nnU-Net reads a channel's normalisation from its name, so several masks all have to be called ``noNorm``. What they show
stands in an entry of ours, which nnU-Net copies along and leaves alone; so do the folders of airway and vessel masks
that are not channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.json_files import read_json_object

NAME = "dataset.json"
NNUNETS = "nnU-Net's dataset.json"
CHANNELS_KEY = "impulse_channels"  # e.g. ["CT", "bronchus", "artery", "vein"]
TREES_KEY = "impulse_trees"  # folders of masks, relative to the raw data set, e.g. ["trees/airway", "trees/artery"]
TREE_CHANNELS = ("bronchus", "artery", "vein", "vessel")  # vessel: arteries and veins in one, as most public masks are
REGION_CHANNELS = (  # masks in which no share of the points is drawn
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
    "left upper lobe",
    "left lower lobe",
    "organ",
)


def find_dataset_json(references: Path, predictions: Path) -> Path | None:
    """``dataset.json`` in the predictions' folder (nnU-Net puts it there), the references' or the one above."""
    places = (predictions, references, references.resolve().parent)
    return next((folder / NAME for folder in places if (folder / NAME).is_file()), None)


def read_dataset_json(
    path: Path, needed: Sequence[str] = ("labels",), remedy: str = "check the path"
) -> dict[str, Any]:
    """Read dataset.json.

    Args:
        path: The file.
        needed: Entries that it must have; ``channel_names`` may have its old name.
        remedy: What the user can do where there is none, for the message.

    Raises:
        InputError: Missing, no JSON, or without an entry that is needed.
    """
    content = read_json_object(path, NNUNETS, remedy)
    for key in needed:
        if (channel_entry(content) if key == "channel_names" else content.get(key)) is None:
            raise InputError(str(path), f"no entry {key!r}", NNUNETS, "add the entry")
    if "labels" in needed and not isinstance(content["labels"], dict):
        found, expected = f"labels {content['labels']!r:.80}", '"labels": {"background": 0, "name": 1, ...}'
        raise InputError(str(path), found, expected, "correct the entry")
    return content


def channel_entry(dataset_json: Mapping[str, Any]) -> Any:
    """The entry of the channels, number -> nnU-Net's name, under its name of today or the old one; None without."""
    return dataset_json.get("channel_names", dataset_json.get("modality"))


def channel_names(dataset_json: Mapping[str, Any]) -> list[str]:
    """nnU-Net's names of the channels, which are their normalisation schemes."""
    return list((channel_entry(dataset_json) or {}).values())


def check_channel_order(dataset_json: Mapping[str, Any], path: Path) -> None:
    """Refuse channels that are not written in the order of their numbers, in which nnU-Net's own steps take them.

    Raises:
        InputError: With what the entry has.
    """
    entry = channel_entry(dataset_json)
    expected = '{"0": "CT", "1": ...}, numbered from 0 on in this order'
    if not isinstance(entry, dict) or not all(isinstance(name, str) for name in entry.values()):
        raise InputError(str(path), f"channel_names {entry!r:.80}", expected, "correct the entry")
    if list(entry) != [str(number) for number in range(len(entry))]:
        found = f"channels {', '.join(entry)}"
        remedy = "nnU-Net goes by the order of the entries, not by their numbers; write them in order"
        raise InputError(str(path), f"{found:.80}", expected, remedy)


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
            f"dataset.json, {CHANNELS_KEY}",
            f"{titles!r:.80}",
            f"a list of {number} names, one for each channel",
            "correct the entry or leave it out",
        )
    return list(titles)


def sampled_channels(dataset_json: Mapping[str, Any], masks: Sequence[int]) -> tuple[int, ...]:
    """Channels inside which a share of the training points is drawn.

    Args:
        dataset_json: Content of dataset.json.
        masks: Channels that nnU-Net leaves unnormalised.

    Returns:
        Those of airways and vessels where the data set says what its channels show, else all masks.

    Raises:
        InputError: A mask is of an unknown kind, or an image is called a mask.
    """
    titles = channel_titles(dataset_json)
    for channel, title in enumerate(titles or ()):
        _check_kind(channel, title, channel in masks)
    return tuple(channel for channel in masks if titles is None or titles[channel] in TREE_CHANNELS)


def _check_kind(channel: int, title: str, mask: bool) -> None:
    kinds = (*TREE_CHANNELS, *REGION_CHANNELS)
    if mask == (title in kinds):
        return
    where, found = f"dataset.json, {CHANNELS_KEY}, channel {channel}", repr(title[:60])
    if mask:
        raise InputError(where, found, f"a kind of mask ({', '.join(kinds)})", "correct the entry or leave it out")
    raise InputError(where, f"{found} for an image", "noNorm in channel_names", "masks are called noNorm there")


def tree_folders(dataset_json: Mapping[str, Any]) -> tuple[str, ...]:
    """Folders of airway and vessel masks, ``FOLDER/CASE.nii.gz``, relative to the raw data set.

    Raises:
        InputError: The entry is not a list of relative folders.
    """
    folders = dataset_json.get(TREES_KEY, [])
    if not _is_list_of_text(folders) or any(folder.startswith("/") or ".." in folder for folder in folders):
        raise InputError(
            f"dataset.json, {TREES_KEY}",
            f"{folders!r:.80}",
            'a list of folders in the data set, e.g. ["trees/vein"]',
            "correct the entry or leave it out",
        )
    return tuple(folders)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
