"""Readers that do not turn images: all cases of a data set, and those predicted later, must share one orientation."""

from __future__ import annotations

from collections.abc import Mapping

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import reader_grid, reader_to_world
from impulse_nnunet.io.images import RawCase
from impulse_nnunet.io.nnunet import Reader, turns_images
from impulse_nnunet.settings import ReadingSettings

ENTRY = "overwrite_image_reader_writer"


def orientation_of(case: RawCase) -> str | None:
    """To where the axes x, y, z of a case's array run, e.g. ``LPS``; None without a place in the world."""
    if reader_to_world(case.properties) is None:
        return None
    return reader_grid(case.images.shape[1:], case.properties).orientation


def shared_orientation(orientations: Mapping[str, str | None], reader: type[Reader]) -> str:
    """The orientation of all cases (identifier -> orientation), or "" where the reader turns them or none has one.

    Raises:
        InputError: They differ: left and right, or front and back, would be learned mixed up.
    """
    known = {case: found for case, found in orientations.items() if found is not None}
    if turns_images(reader) or not known:
        return ""
    first, expected = next(iter(sorted(known.items())))
    other = next((case for case, found in sorted(known.items()) if found != expected), None)
    if other is not None:
        raise InputError(
            f"dataset.json, {ENTRY}",
            f"{reader.__name__}, which does not turn images, with {expected} in {first} and {known[other]} in {other}",
            "one orientation in all cases, or a reader that turns them",
            "leave the entry out",
        )
    return expected


def check_orientation(case: str, raw: RawCase, reading: ReadingSettings) -> None:
    """Refuse an image in another orientation than all training images had, where the model's reader does not turn it.

    Raises:
        InputError: With both.
    """
    found = orientation_of(raw)
    if reading.orientation and found is not None and found != reading.orientation:
        expected = f"{reading.orientation} as all training images, since the model's reader does not turn images"
        raise InputError(case, f"an image stored in {found}", expected, "store it in that orientation")
