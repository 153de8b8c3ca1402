"""Jobs of ``make bench``: a DICOM series of 300 x 512 x 512 read and converted, and segmentations written for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evaluation import SPACING_MM
from benchmarks.surfaces import content

SHAPE = (300, 512, 512)


@cache
def series_folder() -> Path:
    """A made-up CT, a file a slice, uncompressed."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(SHAPE[0]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        made.Modality, made.InstanceNumber = "CT", index + 1
        made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, index * SPACING_MM[0]], [1, 0, 0, 0, 1, 0]
        made.PixelSpacing, made.Rows, made.Columns = list(SPACING_MM[1:]), *SHAPE[1:]
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.RescaleSlope, made.RescaleIntercept = "1", "-1024"
        made.PixelData = rng.integers(0, 2000, SHAPE[1:]).astype("<u2").tobytes()
        made.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return folder


def reading() -> Callable[[], Any]:
    """Headers, order, voxels, and an uncompressed NIfTI image, as ``predict`` does."""
    from impulse_nnunet.io.dicom.series import series_in
    from impulse_nnunet.io.input_cases import convert

    folder, images = series_folder(), Path(tempfile.mkdtemp())
    return lambda: convert({"case": series_in(folder)[0]}, images, ".nii")


def writing(name: str) -> Callable[[], Callable[[], Any]]:
    """A segmentation of 18 labels, from a label map in memory and the series on disk."""

    def make() -> Callable[[], Any]:
        from impulse_nnunet.outputs.dicom_segmentation import series_of_images
        from impulse_nnunet.outputs.formats import FORMATS

        shown, folder = replace(content(), dicom=series_folder()), Path(tempfile.mkdtemp())

        def run() -> None:
            series_of_images.cache_clear()
            FORMATS[name](shown, folder)

        return run

    return make


JOBS: dict[str, Callable[[], Callable[[], Any]]] = {
    "read_dicom": reading,
    "write_dcmseg": writing("dcmseg"),
    "write_dcmseg_binary": writing("dcmseg_binary"),
}
