"""The cases of a user's input folder: images with nnU-Net's names, or DICOM, which become such images for a while."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.io.dicom.headers import holds_dicom
from impulse_nnunet.io.dicom.series import Series, choose, series_in
from impulse_nnunet.io.dicom.volume import read_volume
from impulse_nnunet.io.formats import is_nifti
from impulse_nnunet.io.label_maps import FAST, write_on_grid
from impulse_nnunet.io.listing import channel_files, list_cases
from impulse_nnunet.io.not_read import NotRead, not_read

CONVERTED = ".dicom_"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputCases:
    """Cases, in order.

    Args:
        images: Case -> channel files.
        series: Case -> the series that its image is made of.
        failures: Cases that there are no images of, and why.
    """

    images: Mapping[str, list[str]] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of all cases, those without images too, in the same order in every call."""
        return [*self.images, *sorted([*self.series, *self.failures])]

    @contextmanager
    def files(self, chosen: Sequence[str], folder: Path, ending: str) -> Iterator[dict[str, list[str]]]:
        """Case -> channel files, for some cases; images made of DICOM are gone after the block.

        Args:
            chosen: Cases.
            folder: Where images are made, in a hidden folder.
            ending: Of such images.

        Raises:
            CasesFailedError: At the block's end, with the cases of which no image could be made and those that failed
                within the block.
        """
        failures = {case: self.failures[case] for case in chosen if case in self.failures}
        files = {case: self.images[case] for case in chosen if case in self.images}
        if not self.series:
            yield files
            return
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=CONVERTED, dir=folder) as place:
            wanted = {case: self.series[case] for case in chosen if case in self.series}
            made, bad = convert(wanted, Path(place), ending)
            failures |= bad
            try:
                yield {case: [str(path)] for case, path in made.items()}
            except CasesFailedError as error:
                failures |= error.failures
        if failures:
            raise CasesFailedError(dict(sorted(failures.items())), len(chosen))


def find_input_cases(folder: Path, ending: str, channels: Sequence[str], series: Sequence[str] = ()) -> InputCases:
    """The cases of a folder: images ``CASE_0000`` + ending if there is any, else DICOM series in it or below.

    Args:
        folder: The user's.
        ending: Of images.
        channels: nnU-Net's names of the channels that a case has; DICOM series are cases of one channel, CT or MR.
        series: UIDs or names of DICOM series to take; by default the largest of each study.

    Raises:
        InputError: No case, or DICOM for a model of several channels.
    """
    if not _is_dicom_folder(folder, ending):
        if series:
            raise InputError("`series`", ", ".join(series)[:80], "a folder of DICOM", f"leave it out for {folder}")
        return InputCases(images=list_cases(folder, ending))
    if len(channels) != 1:
        expected = f"images named CASE_0000{ending} of {len(channels)} channels"
        raise InputError(str(folder), "DICOM", expected, "only models of one channel, CT or MR, take DICOM")
    chosen, failures = choose(folder, series_in(folder), "CT" if channels[0] == "CT" else "MR", series)
    logger.info("%d DICOM case(s): %s", len(chosen), ", ".join(chosen))
    return InputCases(series=chosen, failures=failures)


def not_read_of(folder: Path, ending: str) -> list[NotRead]:
    """What is not read of a folder; of DICOM series nothing is said here: reading them names what is wrong."""
    return not_read(folder, ending) if folder.is_dir() and not _is_dicom_folder(folder, ending) else []


def _is_dicom_folder(folder: Path, ending: str) -> bool:
    """Whether a folder holds DICOM and no image."""
    return folder.is_dir() and not channel_files(folder, ending) and holds_dicom(folder)


def convert(cases: Mapping[str, Series], folder: Path, ending: str) -> tuple[dict[str, Path], dict[str, str]]:
    """Write series as images ``CASE_0000`` + ending.

    Returns:
        Case -> file, and case -> reason for those of which no image could be made.
    """
    made, failures = {}, {}
    for case, series in cases.items():
        try:
            volume, grid = read_volume(series)
        except InputError as error:
            failures[case] = str(error)
            continue
        made[case] = folder / f"{case}_0000{ending}"
        write_on_grid(volume, grid, made[case], FAST)
    return made, failures


def quickest_ending(ending: str) -> str:
    """The ending of the same format without compression, for files that live for the length of a command."""
    return ending.removesuffix(".gz") if is_nifti(f"case{ending}") else ending
