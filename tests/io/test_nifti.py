import nibabel
import numpy as np
import pytest
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

from impulse_nnunet.io.nifti import read_plain_nifti

SHAPE = (4, 5, 6)
AXES = {
    "RAS": np.diag([2.0, 3, 4, 1]),
    "LPI": np.diag([-2.0, -3, -4, 1]),
    "turned": np.array([[0, 0.1, 4, 7], [2, 0, 0, -3], [0, -3, 0.2, 5], [0, 0, 0, 1.0]]),
}


def written(path, values, affine=AXES["RAS"]):
    nibabel.save(nibabel.Nifti1Image(values, affine, dtype=values.dtype), path)
    return str(path)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32"])
def test_voxels_and_properties_are_those_of_nnunets_reader(tmp_path, kind, axes):
    values = (np.random.default_rng(0).normal(size=SHAPE) * 2**30).astype("int64").astype(kind)
    file = written(tmp_path / "a.nii.gz", values, AXES[axes])
    voxels, properties = read_plain_nifti(file)
    expected, expected_properties = NibabelIOWithReorient().read_images((file,))
    assert voxels.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(voxels, expected)
    assert properties["spacing"] == expected_properties["spacing"]
    for name, affine in expected_properties["nibabel_stuff"].items():
        np.testing.assert_array_equal(properties["nibabel_stuff"][name], affine)


def test_numbers_that_float64_holds_and_float32_rounds(tmp_path):
    values = np.full(SHAPE, 2**24 + 1, np.int32)  # half way between two float32 numbers: to the even one
    voxels, _ = read_plain_nifti(written(tmp_path / "a.nii", values))
    assert np.all(voxels == 2**24)


@pytest.mark.parametrize("kind", ["float64", "int64", "complex64"])
def test_other_numbers_are_left_to_nnunets_reader(tmp_path, kind):
    assert read_plain_nifti(written(tmp_path / "a.nii", np.ones(SHAPE, kind))) is None


def test_scaled_numbers_are_left_to_nnunets_reader(tmp_path):
    image = nibabel.Nifti1Image(np.linspace(0, 1, 120).reshape(SHAPE), np.eye(4))
    image.set_data_dtype(np.int16)  # nibabel stores a slope
    nibabel.save(image, tmp_path / "a.nii")
    assert read_plain_nifti(str(tmp_path / "a.nii")) is None


def test_another_number_of_axes_is_left_to_nnunets_reader(tmp_path):
    assert read_plain_nifti(written(tmp_path / "a.nii", np.ones((4, 5, 6, 2), np.int16))) is None
