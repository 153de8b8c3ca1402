import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.assumption import ASSUME_VARIABLE
from impulse_nnunet.io.grid import read_file_grid
from impulse_nnunet.io.images import read_case

NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 2 2 2\nElementSpacing = 1 2 3\n"
PLACED = {
    ".nrrd": NRRD + "space: left-posterior-superior\nspace directions: (1,0,0) (0,2,0) (0,0,3)\n",
    ".mha": META + "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n",
}
UNPLACED = {".nrrd": NRRD + "spacings: 1 2 3\n", ".mha": META}
UNITS = {".nrrd": 'space units: "{0}" "{0}" "{0}"\n', ".mha": "DistanceUnits = {0}\n"}
ENDS = {".nrrd": "\n", ".mha": "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"}
MISSING = {".nrrd": "'space directions'", ".mha": "TransformMatrix"}
ENDINGS = [".nrrd", ".mha"]


def written(folder, ending, text):
    path = folder / f"a{ending}"
    path.write_bytes((text + ENDS[ending]).encode() + bytes(range(1, 9)))
    return path


def read_as_case(path):
    return read_case(SimpleITKIOWithReorient(), "a", [str(path)], 1)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("way", [read_file_grid, read_as_case])
def test_a_file_without_orientation_is_refused(tmp_path, way, ending):
    file = written(tmp_path, ending, UNPLACED[ending])
    assert sitk.ReadImage(str(file)).GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)  # ITK makes one up
    message = rf"a\{ending}: found no {MISSING[ending]} in the header, so no orientation, expected the directions"
    with pytest.raises(InputError, match=message):
        way(file)


@pytest.mark.parametrize("ending", ENDINGS)
def test_and_taken_as_itk_has_it_where_the_user_says_so(tmp_path, monkeypatch, ending):
    monkeypatch.setenv(ASSUME_VARIABLE, "1")
    file = written(tmp_path, ending, UNPLACED[ending])
    np.testing.assert_allclose(read_file_grid(file).spacing_mm, [1, 2, 3])
    assert read_file_grid(file).orientation == "LPS"
    assert read_as_case(file).assumed_orientation


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("way", [read_file_grid, read_as_case])
def test_a_unit_that_itk_would_take_for_mm_is_refused(tmp_path, way, ending):
    file = written(tmp_path, ending, PLACED[ending] + UNITS[ending].format("um"))
    assert sitk.ReadImage(str(file)).GetSpacing() == (1, 2, 3)
    with pytest.raises(InputError, match=rf"a\{ending}: found lengths in .*um.*, expected mm; convert the file"):
        way(file)


@pytest.mark.parametrize("unit", ["", "mm"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_millimetres_pass(tmp_path, ending, unit):
    file = written(tmp_path, ending, PLACED[ending] + (UNITS[ending].format(unit) if unit else ""))
    np.testing.assert_allclose(read_file_grid(file).spacing_mm, [1, 2, 3])
    assert read_as_case(file).images.shape == (1, 2, 2, 2)


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_what_itk_writes_passes(tmp_path, ending):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((2, 3, 4), np.int16)), str(tmp_path / f"a{ending}"))
    assert read_file_grid(tmp_path / f"a{ending}").size == (4, 3, 2)
