"""Which series a DICOM segmentation belongs to, and what is said where there is none that fits."""

import re
import sys
import warnings

import numpy as np
import pydicom
import pytest

from impulse_nnunet.cli.main import main
from impulse_nnunet.io.dicom.series import series_in
from tests.io.dicom.made import Scan, scan
from tests.outputs.segmentations import export, labels_by_the_standard, labels_for, write_labels


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
