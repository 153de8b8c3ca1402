"""DICOM segmentations, read back by highdicom, and without it from the bytes and frames by the standard's rules."""

import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest

from tests.io.dicom.made import PATIENT, PATIENT_ID, scan
from tests.outputs.segmentations import (
    AXIAL,
    KINDS,
    ORIENTATIONS,
    export,
    labels_by_the_standard,
    labels_for,
    write_labels,
)


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
