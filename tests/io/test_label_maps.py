import gzip
from contextlib import suppress

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import (
    as_labels,
    count_values,
    holds_integers,
    read_label_map,
    write_label_map,
    write_on_grid,
)
from impulse_nnunet.io.same_grid import check_files_on_same_grid
from tests.evaluation.image_files import save
from tests.io.headers import change_header
from tests.lungs import made_up

LABELS = np.random.default_rng(0).integers(0, 5, (3, 4, 6)).astype(np.uint8)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
PLACE = {"spacing": (2.5, 0.7, 0.8), "origin": (-11.5, 20.25, 3.5), "direction": TURN}


def nifti(path, labels, kind=None, endianness="<"):
    header = nibabel.Nifti1Header(endianness=endianness)
    header.set_data_dtype(kind or labels.dtype)
    nibabel.save(nibabel.Nifti1Image(labels.T, np.eye(4), header), path)
    return path


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
def test_every_format_gives_the_same(tmp_path, ending):
    one = read_label_map(save(LABELS, tmp_path / f"case{ending}", **PLACE))
    np.testing.assert_array_equal(one.labels, LABELS)
    assert one.labels.flags.c_contiguous
    assert one.labels.dtype == np.uint8
    np.testing.assert_allclose(one.spacing_mm, PLACE["spacing"], rtol=1e-6)
    check_files_on_same_grid(one.path, save(LABELS, tmp_path / "reference.nrrd", **PLACE))


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_gives_labels(tmp_path, kind, endianness):
    path = nifti(tmp_path / "case.nii.gz", LABELS, np.dtype(kind), endianness)
    found = read_label_map(path).labels
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_labels_beyond_a_byte(tmp_path, kind):
    labels = LABELS.astype(np.int32) * 16000
    found = read_label_map(nifti(tmp_path / "case.nii", labels.astype(kind))).labels
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.uint16


def test_big_endian_nrrd_and_metaimage(tmp_path):
    large = LABELS.astype(np.uint16) * 300
    nrrd = tmp_path / "case.nrrd"
    header = (
        b"NRRD0004\ntype: ushort\ndimension: 3\nsizes: 6 4 3\nencoding: raw\nendian: big\n"
        b"space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n\n"
    )
    nrrd.write_bytes(header + large.astype(">u2").tobytes())
    mha = tmp_path / "case.mha"
    header = (
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\nDimSize = 6 4 3\n"
        b"TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    )
    mha.write_bytes(header + large.astype(">u2").tobytes())
    for path in (nrrd, mha):
        np.testing.assert_array_equal(read_label_map(path).labels, large)


def test_the_other_kind_of_nifti(tmp_path):
    nibabel.save(nibabel.Nifti2Image(LABELS.T, np.eye(4)), tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(read_label_map(tmp_path / "case.nii.gz").labels, LABELS)


@pytest.mark.parametrize("factor", [2, 255])  # 255 / 255 is 1.0000000591389835 in the header's float32
def test_labels_that_a_scaling_leaves_beside_the_integers_are_rounded(tmp_path, factor):
    path = change_header(nifti(tmp_path / "case.nii", LABELS.astype(np.int16) * factor), slope=1 / factor)
    stored = nibabel.load(path).get_fdata()
    assert (factor == 2) == np.array_equal(stored, np.rint(stored))
    np.testing.assert_array_equal(read_label_map(path).labels, LABELS)
    assert not holds_integers(path)


def test_a_float_array_under_an_integer_header_is_scaled_by_nibabel(tmp_path):
    image = nibabel.Nifti1Image(LABELS.T.astype(np.float64), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "case.nii.gz")
    assert not np.array_equal(np.unique(nibabel.load(tmp_path / "case.nii.gz").get_fdata()), range(5))
    np.testing.assert_array_equal(read_label_map(tmp_path / "case.nii.gz").labels, LABELS)


@pytest.mark.parametrize(
    ("value", "label"), [(1.0009, 1), (0.9991, 1), (-0.0009, 0), (65535.0, 65535), (255.0005, 255)]
)
def test_within_a_thousandth_of_an_integer(value, label):
    assert as_labels(np.full((1, 1, 1), value), "a").item() == label


@pytest.mark.parametrize("value", [1.0011, 0.9989, 0.5, 1.00392])  # the last: 256 / 255
def test_further_off_is_refused_as_scaled(value):
    message = (
        r"a: found values between the integers, expected labels; save it without a scaling \(scl_slope\), or resam"
    )
    with pytest.raises(InputError, match=message):
        as_labels(np.full((1, 1, 1), value), "a")


@pytest.mark.parametrize(("ending", "kind", "whole"), [("mha", np.uint8, True), ("nrrd", np.float32, False)])
def test_numbers_stored_as_integers(tmp_path, ending, kind, whole):
    sitk.WriteImage(sitk.GetImageFromArray(LABELS.astype(kind)), str(tmp_path / f"case.{ending}"))
    assert holds_integers(tmp_path / f"case.{ending}") == whole
    assert holds_integers(nifti(tmp_path / "case.nii.gz", LABELS))
    assert not holds_integers(nifti(tmp_path / "float.nii.gz", LABELS.astype(np.float32)))


def test_scaled_nifti(tmp_path):
    path = nifti(tmp_path / "case.nii", LABELS)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([2, 1], "<f4").tobytes()  # slope and offset
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_label_map(path).labels, 2 * LABELS + 1)


# --- files that are not label maps -----------------------------------------------------------------------------------


def refusal(path):
    with pytest.raises(InputError) as error:
        read_label_map(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_cut_off_file(tmp_path, ending):
    path = save(np.random.default_rng(0).integers(0, 5, (12, 16, 24)).astype(np.uint8), tmp_path / f"case{ending}")
    whole = path.read_bytes()
    for share in (0, 0.1, 0.3, 0.5, 0.8, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        assert "expected a" in refusal(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_damaged_file_gives_no_other_error(tmp_path, ending):
    path = save(LABELS, tmp_path / f"case{ending}")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with suppress(InputError):  # some bytes do not matter
            read_label_map(path)


def test_something_else(tmp_path):
    path = tmp_path / "case.nii.gz"
    assert "no such file" in refusal(path)
    path.write_bytes(gzip.compress(b"not an image" * 99))
    assert "geometry cannot be read" in refusal(path)
    path.write_bytes(b"not even compressed")
    assert "geometry cannot be read" in refusal(path)


def test_other_dimensions(tmp_path):
    for shape in ((4, 5), (4, 5, 6, 2), (4, 5, 6, 1)):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "case.nii.gz")
        assert f"found {len(shape)} dimensions, expected a 3D image" in refusal(tmp_path / "case.nii.gz")
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, 3), str(tmp_path / "case.nrrd"))
    assert "found 4 dimensions, expected a 3D label map" in refusal(tmp_path / "case.nrrd")


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.array([0.0, 1.5]), "found values between the integers, expected labels"),
        (np.array([0.0, np.nan]), "found NaN or infinite voxels, expected labels"),
        (np.array([0.0, np.inf]), "found NaN or infinite voxels, expected labels"),
        (np.array([0, -1], np.int16), "found values from -1 to 0, expected labels from 0 to 65535"),
        (np.array([0, 65536], np.int32), "found values from 0 to 65536, expected labels from 0 to 65535"),
        (np.array([0, 1], np.complex64), "found voxels of type complex64, expected labels"),
        (np.zeros(2, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "found voxels of type .*R.*, expected labels"),
    ],
)
def test_values_that_are_no_labels(tmp_path, voxels, message):
    path = tmp_path / "case.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels.reshape(1, 1, 2), np.eye(4)), path)
    with pytest.raises(InputError, match=message):
        read_label_map(path)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3, 4)])
def test_an_array_that_is_not_3d(shape):
    with pytest.raises(InputError, match=f"f: found {len(shape)} dimensions, expected a 3D label map"):
        as_labels(np.zeros(shape), "f")


def test_whole_numbers_in_other_types_are_labels():
    for kind in (bool, np.float64, np.int64, np.uint8):
        found = as_labels(np.ones((1, 1, 2), kind), "f")
        assert (found.tolist(), found.dtype) == ([[[1, 1]]], np.uint8)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [4, 300])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_written_file_has_the_other_files_grid(tmp_path, ending, largest):
    affine = np.array([[0.0, -1.5, 0, 7], [1.0, 0, 0, -3], [0, 0, 2.0, 5], [0, 0, 0, 1]])
    like = made_up.write(tmp_path / "like.nii.gz", np.zeros(made_up.SHAPE, np.uint8), affine)
    labels = np.random.default_rng(0).integers(0, largest + 1, made_up.SHAPE)
    written = tmp_path / f"new{ending}"
    write_label_map(labels, like, written)
    check_files_on_same_grid(written, like)
    np.testing.assert_array_equal(read_label_map(written).labels, labels)
    first, second = (sitk.ReadImage(str(path)) for path in (like, written))
    np.testing.assert_allclose(
        first.TransformIndexToPhysicalPoint((3, 2, 1)), second.TransformIndexToPhysicalPoint((3, 2, 1)), atol=1e-4
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["like.nii.gz", f"new{ending}"])


def test_a_mask_is_written_as_0_and_1(tmp_path):
    like = made_up.write(tmp_path / "like.nii.gz", np.zeros(made_up.SHAPE, np.uint8))
    write_label_map(made_up.tree("vein") > 0, like, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_label_map(tmp_path / "mask.nii.gz").labels, made_up.tree("vein"))


@pytest.mark.parametrize("vectors", [False, True])
def test_arrays_are_written_with_a_grids_geometry(tmp_path, vectors):
    shape = (4, 3, 2)
    array = np.random.default_rng(0).random((*shape, 3)) if vectors else np.arange(24).reshape(shape)
    array = array.astype(np.float32 if vectors else np.uint8)
    grid = FileGrid(size=(2, 3, 4), spacing_mm=np.array([0.5, 1, 2]), origin=np.array([1.0, 2, 3]), direction=np.eye(3))
    write_on_grid(array, grid, tmp_path / "a.mha")
    image = sitk.ReadImage(str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    assert image.GetSpacing() == (0.5, 1, 2)
    assert image.GetOrigin() == (1, 2, 3)


def test_voxels_of_each_value():
    # bar n has 4 x 6 voxels; the background the rest of 6 x 8 x 20
    assert count_values(made_up.segments(), 5).tolist() == [960 - 18 * 24] + [24] * 18
    assert count_values(np.zeros((2, 2, 2), np.uint8), 3).tolist() == [8, 0, 0]


# --- grids with shear, codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [LABELS, np.random.default_rng(1).normal(size=(3, 4, 6, 3)).astype(np.float32)])
def test_a_small_shear_is_written(tmp_path, values):
    """ITK makes the axes orthonormal when it writes NIfTI."""
    direction = np.array([[1, 0, 2e-3], [0, 1, 0], [0, 0, 1]])
    grid = FileGrid(
        size=(6, 4, 3), spacing_mm=np.array([2, 0.7, 0.8]), origin=np.array([1, 2, 3.0]), direction=direction
    )
    write_on_grid(values, grid, tmp_path / "a.nii.gz")
    affine = nibabel.load(tmp_path / "a.nii.gz").affine
    np.testing.assert_allclose(affine @ (5, 3, 2, 1), [-11 - 2e-3 * 1.6, -2 - 2.1, 3 + 1.6, 1], atol=1e-6)


def test_vectors_are_those_that_itk_reads(tmp_path):
    field = np.random.default_rng(1).normal(size=(3, 4, 6, 3)).astype(np.float32)
    grid = FileGrid(size=(6, 4, 3), spacing_mm=np.array([2, 0.7, 0.8]), origin=np.array([1, 2, 3.0]), direction=TURN)
    write_on_grid(field, grid, tmp_path / "a.nii.gz")
    again = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert again.GetNumberOfComponentsPerPixel() == 3
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), field)
    np.testing.assert_allclose(again.GetDirection(), TURN.ravel(), atol=1e-6)
    np.testing.assert_allclose(again.GetOrigin(), [1, 2, 3], atol=1e-6)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (3, 2)])
def test_another_grid_gets_the_codes_of_the_image(tmp_path, codes):
    image = nibabel.Nifti1Image(LABELS, np.eye(4))
    image.set_qform(np.eye(4), codes[0])
    image.set_sform(np.eye(4), codes[1])
    nibabel.save(image, tmp_path / "like.nii.gz")
    grid = FileGrid(size=(6, 4, 3), spacing_mm=np.array([2, 0.7, 0.8]), origin=np.array([1, 2, 3.0]), direction=TURN)
    write_on_grid(LABELS, grid, tmp_path / "a.nii.gz", like=tmp_path / "like.nii.gz")
    header = nibabel.load(tmp_path / "a.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == codes
    again = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(
        again.TransformIndexToPhysicalPoint((5, 3, 2)), (grid.to_world @ (2, 3, 5, 1))[:3], atol=1e-5
    )
