"""Label maps beside DICOM series, exported, and read back by the standard's rules."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from impulse_nnunet.cli.main import main

LEAN = Rotation.from_euler("zyx", [20, -35, 50], degrees=True).as_matrix()
AXIAL = (1, 0, 0, 0, 1, 0)
ORIENTATIONS = {
    "axial": AXIAL,
    "feet first, face down": (-1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": tuple(LEAN[:, 0]) + tuple(LEAN[:, 1]),
}
NAMES = {"background": 0, "right S1": 1, "right S7": 2, "left lung": 5, "lung_upper_lobe_left": 255}
KINDS = {"dcmseg": ".dcm", "dcmseg_binary": "_binary.dcm"}


def labels_for(made, seed=3):
    """Labels of all kinds, with slices that have none."""
    labels = np.random.default_rng(seed).choice([0, 0, 1, 2, 5, 255], made.voxels.shape).astype(np.uint8)
    labels[0] = labels[-1] = 0
    return labels


def affine_of(made):
    affine = np.eye(4)
    affine[:3, :3] = made.axes * np.array(made.spacing_mm)[::-1]
    affine[:3, 3] = made.origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def write_labels(folder, made, labels, case="case", turn=None, names=NAMES):
    """A label map on the series' grid; ``turn`` stores it with other axes, e.g. ``PIR``."""
    folder.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(labels.T, affine_of(made))
    if turn:
        target = nibabel.orientations.axcodes2ornt(turn)
        image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), target))
    nibabel.save(image, folder / f"{case}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({"labels": names, "file_ending": ".nii.gz"}))
    return folder


def export(segments, output, dicom, *formats):
    dicom = () if dicom is None else ("--dicom", str(dicom))
    return main(
        [
            "export",
            str(segments),
            "-o",
            str(output),
            "--format",
            *(formats or KINDS),
            *dicom,
            "-np",
            "1",
            "--disable_progress_bar",
        ]
    )


def labels_by_the_standard(path, made):
    """Label of each voxel of the series by pydicom alone: frames, their places (C.7.6.16) and segments (C.8.20)."""
    found = np.zeros(made.voxels.shape, int)
    file = pydicom.dcmread(path)
    label = {
        int(s.SegmentNumber): int(s.SegmentDescription.split()[1]) for s in file.SegmentSequence if s.SegmentNumber
    }
    frames = file.pixel_array
    shared = file.SharedFunctionalGroupsSequence[0]
    np.testing.assert_allclose(shared.PlaneOrientationSequence[0].ImageOrientationPatient, made.orientation, atol=1e-6)
    np.testing.assert_allclose(shared.PixelMeasuresSequence[0].PixelSpacing, made.spacing_mm[1:])
    for frame, groups in zip(frames, file.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        along = (place - made.origin) @ made.axes / np.array(made.spacing_mm)[::-1]
        np.testing.assert_allclose(along[:2], 0, atol=1e-3)
        index = round(along[2])
        assert along[2] == pytest.approx(index, abs=1e-3)
        if file.SegmentationType == "BINARY":
            number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            found[index][frame > 0] = label[number]
        else:
            for number, value in label.items():
                found[index][frame == number] = value
    return found
