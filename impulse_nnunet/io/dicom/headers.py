"""The headers of DICOM files, without patient data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from impulse_nnunet.errors import InputError

PREAMBLE_BYTES = 128
MAGIC = b"DICM"
HEAD_BYTES = 1024  # the group of file meta elements begins with the storage class
STORAGE_CLASS = b"\x02\x00\x02\x00UI"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
IMAGES_OF = {  # storage classes of single-frame images, by modality (PS3.4, B.5)
    "CT": ("1.2.840.10008.5.1.4.1.1.2",),
    "MR": ("1.2.840.10008.5.1.4.1.1.4",),
}
TAGS = {
    "image_type": "0008|0008",
    "modality": "0008|0060",
    "tilt": "0018|1120",
    "study": "0020|000d",
    "series": "0020|000e",
    "series_number": "0020|0011",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "frame_of_reference": "0020|0052",
    "samples": "0028|0002",
    "photometric": "0028|0004",
    "frames": "0028|0008",
    "rows": "0028|0010",
    "columns": "0028|0011",
    "spacing": "0028|0030",
    "signed": "0028|0103",
    "padding": "0028|0120",
    "padding_limit": "0028|0121",
    "intercept": "0028|1052",
    "slope": "0028|1053",
    "unit": "0028|1054",
    "lossy": "0028|2110",
}
PATIENT_ID = "0010|0020"
DIGITS = 12  # hexadecimal, of SHA-256


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is needed of one file's header.

    Args:
        file: The file.
        patient: Digest of the patient's ID; tells patients apart, and not who they are.
        values: Name in :data:`TAGS` -> text, for those that the file has.
    """

    file: Path
    patient: str
    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """The value of a tag; empty where the file has none."""
        return self.values.get(name, "")

    def numbers(self, name: str) -> tuple[float, ...]:
        r"""The numbers of a tag, which DICOM parts by ``\``; none where the file has none, or something else."""
        try:
            return tuple(float(part) for part in self.text(name).split("\\") if part.strip())
        except ValueError:
            return ()

    def number(self, name: str, default: float = 0.0) -> float:
        """The first number of a tag."""
        return next(iter(self.numbers(name)), default)


def digest(text: str) -> str:
    """A short name of an identifier, from which it cannot be read."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def dicom_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files below a folder, in order, that begin as DICOM files do, with their storage class; no DICOMDIR.

    Files that are empty or may not be read count too, without a storage class: they may be a series' last slice.

    Raises:
        InputError: A folder in it that may not be read.
    """

    def refuse(_: OSError) -> None:
        raise InputError(str(folder), "a folder in it that may not be read", "folders that may", "change its rights")

    for base, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = Path(base, name)
            storage = _storage_class(path)
            if storage is not None and storage != DIRECTORY_CLASS:
                yield path, storage


def holds_dicom(folder: Path) -> bool:
    """Whether there is a DICOM file below a folder."""
    return any(storage for _, storage in dicom_files(folder))


def read_header(path: Path) -> Header | None:
    """A file's header; None for what GDCM does not read as an image."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    found = {name: reader.GetMetaData(tag).strip(" \0") for name, tag in TAGS.items() if reader.HasMetaDataKey(tag)}
    patient = reader.GetMetaData(PATIENT_ID) if reader.HasMetaDataKey(PATIENT_ID) else ""
    values = {name: value for name, value in found.items() if value}
    return Header(file=path, patient=digest(patient.strip()), values=values)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings, which may quote a header, from the terminal."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _storage_class(path: Path) -> str | None:
    """The storage class in a file's first bytes; empty where there is none to be read, None for other files."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    if head and head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] != MAGIC:
        return None
    start = head.find(STORAGE_CLASS, PREAMBLE_BYTES) + len(STORAGE_CLASS)
    if start < len(STORAGE_CLASS):
        return ""
    length = int.from_bytes(head[start : start + 2], "little")
    return head[start + 2 : start + 2 + length].decode("ascii", errors="replace").rstrip("\0 ")
