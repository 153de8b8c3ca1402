import math
import re

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.dicom.geometry import in_order
from impulse_nnunet.io.dicom.headers import dicom_files, read_header
from impulse_nnunet.io.dicom.series import Series
from tests.io.dicom.made import PATIENT, PATIENT_ID, scan


def order(folder):
    return in_order(Series(headers=tuple(read_header(path) for path, _ in dicom_files(folder))))


def refusal(folder):
    with pytest.raises(InputError) as refused:
        order(folder)
    text = str(refused.value)
    assert "\n" not in text
    assert re.match(r"(ct|mr)_[0-9a-f]{12}: found ", text)
    return text


def moved(shift_of, shape=(6, 8, 10)):
    """A scan whose slice k lies at its place and ``shift_of(k)``."""
    made = scan(shape)
    for k in range(shape[0]):
        made.of_slice[k] = {"ImagePositionPatient": (made.position(k) + shift_of(k)).tolist()}
    return made


def test_slices_are_in_the_order_of_their_places(tmp_path):
    made = scan()
    files = made.write(tmp_path)  # names and instance numbers run otherwise
    headers, grid = order(tmp_path)
    assert [header.file for header in headers] == files
    assert sorted(files) != files
    np.testing.assert_allclose(grid.spacing_mm, (0.8, 0.7, 2.0))
    np.testing.assert_allclose(grid.origin, made.origin)


def test_a_header_knows_the_patient_by_a_digest_only(tmp_path):
    (first, *_) = scan().write(tmp_path)
    header = read_header(first)
    assert PATIENT not in repr(header)
    assert PATIENT_ID not in repr(header)
    assert "19500101" not in repr(header)


def test_missing_slices(tmp_path):
    files = scan((9, 4, 4)).write(tmp_path)
    files[4].unlink()
    assert "found 1 missing slice(s), after slice 4 of 8, expected all slices" in refusal(tmp_path)
    files[5].unlink()
    files[2].unlink()
    assert "found 3 missing slice(s)" in refusal(tmp_path)


def test_the_last_but_one_slice_is_missing(tmp_path):
    files = scan((9, 4, 4)).write(tmp_path)
    files[7].unlink()
    assert "found 1 missing slice(s), after slice 7 of 8" in refusal(tmp_path)


def test_duplicate_slices(tmp_path):
    made = scan()
    made.write(tmp_path)
    made.write(tmp_path, "copy{}")
    assert "found 6 duplicate slice(s)" in refusal(tmp_path)


def test_uneven_spacing(tmp_path):
    moved(lambda k: (0, 0, 0.7 * (k > 2))).write(tmp_path)  # a gap of 2.7 mm among gaps of 2 mm
    assert "found uneven slice spacing, 2 to 2.7 mm, expected one spacing" in refusal(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path):
    made = scan((9, 4, 4), spacing_mm=(0.625, 0.7, 0.8))
    for k in range(9):
        made.of_slice[k] = {"ImagePositionPatient": [*made.origin[:2], round(0.625 * k, 1)]}
    made.write(tmp_path)
    assert order(tmp_path)[1].spacing_mm[2] == pytest.approx(0.625)


def test_a_tilted_gantry(tmp_path):
    # rows lie as in an upright scan, columns lean by 15 degrees, and the table moves along z
    lean = math.radians(15)
    orientation = (1, 0, 0, 0, math.cos(lean), -math.sin(lean))
    made = scan(orientation=orientation)
    for k in range(6):
        made.of_slice[k] = {"ImagePositionPatient": [*made.origin[:2], made.origin[2] + 2.0 * k]}
    made.write(tmp_path)
    assert "found a tilted gantry (slices shifted by 15.0 degrees)" in refusal(tmp_path)


def test_a_tilt_that_only_the_header_tells(tmp_path):
    scan(tags={"GantryDetectorTilt": "-20"}).write(tmp_path)
    assert "found a gantry tilt of 20.0 degrees in the header and upright slices" in refusal(tmp_path)


def test_a_tilt_that_was_resampled_along_the_normal_passes(tmp_path):
    lean = math.radians(20)
    scan(orientation=(1, 0, 0, 0, math.cos(lean), -math.sin(lean)), tags={"GantryDetectorTilt": "20"}).write(tmp_path)
    assert order(tmp_path)[1].shape == (6, 8, 10)


def test_slices_shifted_sideways(tmp_path):
    moved(lambda k: (1.5 * (k == 2), 0, 0)).write(tmp_path)
    assert "found slices shifted sideways by up to 1.5 mm" in refusal(tmp_path)


def test_mixed_orientations(tmp_path):
    made = scan()
    made.of_slice = {k: {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]} for k in (4, 5)}
    made.write(tmp_path)
    assert "found slices in 2 orientations, expected one orientation" in refusal(tmp_path)


def test_slices_of_two_sizes(tmp_path):
    made = scan(series="1.2.3")
    made.write(tmp_path)
    scan(
        (3, 4, 4), series="1.2.3", study=made.study, frame_of_reference=made.frame_of_reference, origin=(-12.5, 30, 0)
    ).write(tmp_path, "other{}")
    assert "found slices of 2 sizes, expected one size" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PixelSpacing": ["0.7", "0.9"]}, "found pixels from 0.7 to 0.9 mm, expected one pixel spacing"),
        ({"FrameOfReferenceUID": "1.2.3"}, "found slices of several frames of reference"),
        ({"ImagePositionPatient": None}, "found a slice without a valid position, expected 3 numbers"),
        ({"ImageOrientationPatient": None}, "found a slice without a valid orientation"),
        ({"PixelSpacing": None}, "found a slice without a valid spacing"),
    ],
)
def test_one_slice_that_differs(tmp_path, tags, message):
    scan(of_slice={2: tags}).write(tmp_path)
    assert message in refusal(tmp_path)


def test_bad_cosines_and_pixels(tmp_path):
    scan(tags={"ImageOrientationPatient": [1, 0, 0, 0.5, 0.87, 0]}).write(tmp_path / "a")
    assert "direction cosines that are not of length 1 and at right angles" in refusal(tmp_path / "a")
    scan(tags={"PixelSpacing": ["0", "0.9"]}).write(tmp_path / "b")
    assert "found pixels of 0 x 0.9 mm, expected positive numbers" in refusal(tmp_path / "b")


def test_too_few_slices_and_multi_frame_files(tmp_path):
    scan((2, 4, 4)).write(tmp_path / "two")
    assert "found 2 slice(s), expected at least 3" in refusal(tmp_path / "two")
    made = scan((3, 4, 4), tags={"NumberOfFrames": "2"})
    made.voxels = np.concatenate([made.voxels, made.voxels], axis=1)
    made.tags["Rows"] = 4
    made.write(tmp_path / "frames")
    assert "found multi-frame files (enhanced DICOM)" in refusal(tmp_path / "frames")
