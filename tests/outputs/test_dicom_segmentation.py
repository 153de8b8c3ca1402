"""DICOM segmentations, read back by highdicom, and without it from the bytes and frames by the standard's rules."""

import json
import re
import shutil
import subprocess
import sys
import warnings

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from impulse_nnunet.cli.main import main
from impulse_nnunet.io.dicom.series import series_in
from tests.io.dicom.made import PATIENT, PATIENT_ID, Scan, scan

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
    return main(["export", str(segments), "-o", str(output), "--format", *(formats or KINDS), *dicom, "-np", "1",
                 "--disable_progress_bar"])  # fmt: skip


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


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("turn", [None, "RAS", "PIR"])
def test_labels_come_back_at_their_places(tmp_path, orientation, turn):
    made = scan((6, 9, 11), orientation=orientation)
    made.write(tmp_path / "dicom")
    labels = labels_for(made)
    segments = write_labels(tmp_path / "in", made, labels, turn=turn)
    assert export(segments, tmp_path / "out", tmp_path / "dicom") == 0
    for ending in KINDS.values():
        np.testing.assert_array_equal(labels_by_the_standard(tmp_path / "out" / f"case{ending}", made), labels)


@pytest.mark.parametrize("ending", KINDS.values(), ids=KINDS)
def test_highdicom_reads_the_same_volume(tmp_path, ending):
    made = scan((6, 9, 11), orientation=ORIENTATIONS["oblique"])
    made.write(tmp_path / "dicom")
    labels = labels_for(made)
    assert export(write_labels(tmp_path / "in", made, labels), tmp_path / "out", tmp_path / "dicom") == 0
    file = highdicom.seg.segread(tmp_path / "out" / f"case{ending}")
    volume = file.get_volume(combine_segments=True, relabel=False)
    number = {s.SegmentNumber: int(s.SegmentDescription.split()[1]) for s in file.SegmentSequence if s.SegmentNumber}
    seen = 0
    for index, value in np.ndenumerate(volume.array):
        place = (volume.affine @ [*index, 1])[:3]
        column, row, slice_ = np.rint((place - made.origin) @ made.axes / np.array(made.spacing_mm)[::-1]).astype(int)
        assert labels[slice_, row, column] == number.get(int(value), 0)
        seen += value > 0
    assert seen == np.count_nonzero(labels)


def test_names_codes_colours_references_and_patient(tmp_path):
    made = scan((6, 9, 11))
    files = made.write(tmp_path / "dicom")
    labels = labels_for(made)
    assert export(write_labels(tmp_path / "in", made, labels), tmp_path / "out", tmp_path / "dicom") == 0
    for ending in KINDS.values():
        file = pydicom.dcmread(tmp_path / "out" / f"case{ending}")
        assert (str(file.PatientName), file.PatientID) == (PATIENT, PATIENT_ID)
        assert file.StudyInstanceUID == made.study
        assert file.FrameOfReferenceUID == made.frame_of_reference
        assert file.SeriesInstanceUID != made.series
        assert file.SeriesNumber == 1003
        assert file.Modality == "SEG"
        (reference,) = file.ReferencedSeriesSequence
        assert reference.SeriesInstanceUID == made.series
        theirs = {pydicom.dcmread(path).SOPInstanceUID for path in files}
        assert {item.ReferencedSOPInstanceUID for item in reference.ReferencedInstanceSequence} == theirs
        segments = [item for item in file.SegmentSequence if item.SegmentNumber]
        assert [item.SegmentLabel for item in segments] == ["right S1", "right S7", "left lung", "lung_upper_lobe_left"]
        types = [item.SegmentedPropertyTypeCodeSequence[0] for item in segments]
        assert [(code.CodeValue, code.CodingSchemeDesignator) for code in types] == [
            ("7338", "FMA"),
            ("RIGHT_S7", "99IMPULSE"),
            ("39607008", "SCT"),
            ("45653009", "SCT"),
        ]
        sides = [code.get("SegmentedPropertyTypeModifierCodeSequence") for code in types]
        assert [side and side[0].CodeMeaning for side in sides] == [None, None, "Left", "Left"]
        assert len({tuple(item.RecommendedDisplayCIELabValue) for item in segments}) == 4
        schemes = {item.CodingSchemeDesignator for item in file.CodingSchemeIdentificationSequence}
        assert "99IMPULSE" in schemes
    assert [item.SegmentNumber for item in segments] == [1, 2, 3, 4]  # BINARY counts from 1 on


def test_the_frames_refer_to_the_slices_at_their_place(tmp_path):
    made = scan((6, 9, 11))
    files = made.write(tmp_path / "dicom")
    assert export(write_labels(tmp_path / "in", made, labels_for(made)), tmp_path / "out", tmp_path / "dicom") == 0
    places = {}
    for path in files:
        slice_ = pydicom.dcmread(path)
        places[slice_.SOPInstanceUID] = list(slice_.ImagePositionPatient)
    for ending in KINDS.values():
        for groups in pydicom.dcmread(tmp_path / "out" / f"case{ending}").PerFrameFunctionalGroupsSequence:
            (source,) = groups.DerivationImageSequence[0].SourceImageSequence
            place = list(groups.PlanePositionSequence[0].ImagePositionPatient)
            np.testing.assert_allclose(places[source.ReferencedSOPInstanceUID], place, atol=1e-6)


def test_labels_above_255(tmp_path):
    made = scan((5, 6, 7))
    made.write(tmp_path / "dicom")
    labels = labels_for(made).astype(np.uint16) * 3
    segments = write_labels(tmp_path / "in", made, labels, names={"background": 0, "a": 3, "b": 765})
    assert export(segments, tmp_path / "out", tmp_path / "dicom") == 0
    for ending in KINDS.values():
        np.testing.assert_array_equal(labels_by_the_standard(tmp_path / "out" / f"case{ending}", made), labels)


def test_a_series_without_names_and_dates(tmp_path):
    gone = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
    gone += (
        "SliceThickness",
        "AccessionNumber",
        "ReferringPhysicianName",
        "SeriesNumber",
        "PositionReferenceIndicator",
    )
    made = scan((5, 6, 7), tags=dict.fromkeys(gone))
    made.write(tmp_path / "dicom")
    assert export(write_labels(tmp_path / "in", made, labels_for(made)), tmp_path / "out", tmp_path / "dicom") == 0
    assert pydicom.dcmread(tmp_path / "out" / "case.dcm").PatientID == ""


def test_an_element_that_cannot_be_made_up_is_one_line(tmp_path, capsys):
    made = scan((5, 6, 7), tags={"FrameOfReferenceUID": None})
    made.write(tmp_path / "dicom")
    assert export(write_labels(tmp_path / "in", made, labels_for(made)), tmp_path / "out", tmp_path / "dicom") == 2
    assert (
        "found headers without FrameOfReferenceUID, expected what a DICOM segmentation takes" in capsys.readouterr().err
    )


def test_the_series_is_found_by_the_cases_name_or_by_its_grid(tmp_path, capsys):
    made, other = scan((5, 6, 7)), scan((5, 6, 7), seed=1, patient_id="B")
    made.write(tmp_path / "dicom" / "a")
    (series,) = series_in(tmp_path / "dicom" / "a")
    other.write(tmp_path / "dicom" / "b")
    segments = write_labels(tmp_path / "in", made, labels_for(made), case=series.name)
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 0
    file = pydicom.dcmread(tmp_path / "out" / f"{series.name}.dcm")
    assert file.ReferencedSeriesSequence[0].SeriesInstanceUID == made.series
    segments = write_labels(tmp_path / "unnamed", made, labels_for(made))
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 2
    assert "found 2 DICOM series on its grid" in capsys.readouterr().err


def test_one_of_several_series_on_its_grid(tmp_path):
    made = scan((5, 6, 7))
    made.write(tmp_path / "dicom" / "a")
    scan((5, 6, 8), patient_id="B").write(tmp_path / "dicom" / "b")
    scan((2, 6, 8), patient_id="C").write(tmp_path / "dicom" / "c")
    segments = write_labels(tmp_path / "in", made, labels_for(made))
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 0
    file = pydicom.dcmread(tmp_path / "out" / "case.dcm")
    assert file.ReferencedSeriesSequence[0].SeriesInstanceUID == made.series


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"spacing_mm": (2.0, 0.7, 0.9)},
            r"found spacing \(2, 0.7, 0.9\) mm, expected \(2, 0.7, 0.8\) mm as in the DICOM",
        ),
        ({"origin": (-12.5, 32.0, -100.0)}, "found origin"),
        ({"orientation": (1, 0, 0, 0, 0.96, 0.28)}, "found direction"),
        ({"voxels": np.zeros((5, 6, 9), np.uint16)}, r"found shape \(5, 6, 9\), expected \(5, 6, 7\) as in the DICOM"),
    ],
)
def test_a_series_that_does_not_match_is_one_line_and_others_go_on(tmp_path, capsys, change, message):
    made = scan((5, 6, 7))
    made.write(tmp_path / "dicom")
    segments = write_labels(tmp_path / "in", made, labels_for(made), case="good")
    other = Scan(**{"voxels": made.voxels, "spacing_mm": made.spacing_mm, "origin": made.origin} | change)
    write_labels(segments, other, labels_for(other), case="other")
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 2
    assert sorted(path.name for path in (tmp_path / "out").glob("*.dcm")) == ["good.dcm"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "impulse_nnunet: 1 of 2 cases failed:"
    assert len(lines) == 2
    assert re.search(message, lines[1])
    assert "other.nii.gz" in lines[1]


def test_bad_series_and_no_series_are_one_line(tmp_path, capsys):
    made = scan((6, 6, 7))
    files = made.write(tmp_path / "dicom")
    segments = write_labels(tmp_path / "in", made, labels_for(made))
    files[3].unlink()
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 2
    assert "found 1 missing slice(s)" in capsys.readouterr().err
    assert export(segments, tmp_path / "out", None, "dcmseg") == 2
    assert (
        "case: found no DICOM series, expected the one that a DICOM segmentation belongs to; give its folder by --dicom"
        in (capsys.readouterr().err)
    )
    (tmp_path / "empty").mkdir()
    assert export(segments, tmp_path / "out", tmp_path / "empty", "dcmseg") == 2
    assert "found no DICOM image that can be read" in capsys.readouterr().err


def test_without_highdicom_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    made = scan((6, 6, 7))
    made.write(tmp_path / "dicom")
    segments = write_labels(tmp_path / "in", made, labels_for(made))
    monkeypatch.setitem(sys.modules, "highdicom", None)
    assert export(segments, tmp_path / "out", tmp_path / "dicom", "dcmseg") == 2
    expected = "dcmseg: found no package highdicom, expected it, for DICOM segmentations; run: pip install"
    assert expected in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
@pytest.mark.parametrize("orientation", [AXIAL, ORIENTATIONS["oblique"]], ids=["axial", "oblique"])
def test_dciodvfy_finds_no_error(tmp_path, orientation):
    made = scan((6, 9, 11), orientation=orientation)
    made.write(tmp_path / "dicom")
    assert export(write_labels(tmp_path / "in", made, labels_for(made)), tmp_path / "out", tmp_path / "dicom") == 0
    said = subprocess.run(
        ["dciodvfy", "-new", tmp_path / "out" / "case_binary.dcm"], capture_output=True, text=True, check=False
    ).stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert said.startswith("Segmentation")


def test_a_patients_name_beyond_ascii_is_copied(tmp_path):
    made = scan((5, 6, 7), tags={"PatientName": "Müller^Jürgen"})
    made.write(tmp_path / "dicom")
    assert export(write_labels(tmp_path / "in", made, labels_for(made)), tmp_path / "out", tmp_path / "dicom") == 0
    assert str(pydicom.dcmread(tmp_path / "out" / "case.dcm").PatientName) == "Müller^Jürgen"


def test_trees_are_not_written_and_this_is_said(tmp_path, capsys):
    made = scan((5, 6, 7))
    made.write(tmp_path / "dicom")
    labels = labels_for(made)
    segments = write_labels(tmp_path / "in", made, labels)
    (tmp_path / "trees").mkdir()
    write_labels(tmp_path / "trees" / "vein", made, (labels == 2).astype(np.uint8))
    command = ["export", str(segments), "-o", str(tmp_path / "out"), "--format", "dcmseg", "-np", "1"]
    assert main([*command, "--dicom", str(tmp_path / "dicom"), "--trees", str(tmp_path / "trees")]) == 0
    assert "case: its DICOM segmentation holds the labels, not the trees" in capsys.readouterr().err
    np.testing.assert_array_equal(labels_by_the_standard(tmp_path / "out" / "case.dcm", made), labels)


def test_no_warning_quotes_the_header(tmp_path, capfd):
    made = scan((5, 6, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.tags["PatientBirthDate"] = "1950.30.02"  # no date
        made.write(tmp_path / "dicom")
    segments = write_labels(tmp_path / "in", made, labels_for(made))
    export(segments, tmp_path / "out", tmp_path / "dicom")
    printed = capfd.readouterr()
    assert "1950" not in printed.out + printed.err
