import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.label_files import (
    as_label_map,
    check_same_grid,
    count_values,
    read_label_map,
    write_label_map,
)
from tests.lungs import made_up


def test_a_file_is_read_as_simpleitk_reads_it(tmp_path):
    labels = np.random.default_rng(0).integers(0, 5, made_up.SHAPE).astype(np.uint8)
    path = made_up.write(tmp_path / "a.nii.gz", labels)
    np.testing.assert_array_equal(read_label_map(path), sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_written_file_has_the_other_files_grid(tmp_path, ending):
    affine = np.array([[0.0, -1.5, 0, 7], [1.0, 0, 0, -3], [0, 0, 2.0, 5], [0, 0, 0, 1]])
    like = made_up.write(tmp_path / "like.nii.gz", np.zeros(made_up.SHAPE, np.uint8), affine)
    labels = np.random.default_rng(0).integers(0, 5, made_up.SHAPE).astype(np.uint8)
    written = tmp_path / f"new{ending}"
    write_label_map(labels, like, written)
    check_same_grid(written, like)
    np.testing.assert_array_equal(read_label_map(written), labels)
    first, second = (sitk.ReadImage(str(path)) for path in (like, written))
    np.testing.assert_allclose(first.TransformIndexToPhysicalPoint((3, 2, 1)),
                               second.TransformIndexToPhysicalPoint((3, 2, 1)), atol=1e-4)  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["like.nii.gz", f"new{ending}"])


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((6, 8, 19), made_up.AFFINE),
        (made_up.SHAPE, np.diag([1.1, 1.5, 2.0, 1.0])),
        (made_up.SHAPE, np.diag([-1.0, 1.5, 2.0, 1.0])),
        (made_up.SHAPE, made_up.AFFINE + np.array([[0, 0, 0, 1.0]] + [[0] * 4] * 3)),
    ],
)
def test_another_grid_is_refused_with_both_geometries(tmp_path, shape, affine):
    reference = made_up.write(tmp_path / "ct.nii.gz", np.zeros(made_up.SHAPE, np.uint8))
    other = made_up.write(tmp_path / "mask.nii.gz", np.zeros(shape, np.uint8), affine)
    message = r"mask\.nii\.gz: found .* mm, origin .*expected that of .*ct\.nii\.gz: 20 x 8 x 6 voxels, 1 1\.5 2 mm"
    with pytest.raises(InputError, match=message):
        check_same_grid(other, reference)


def test_a_rounded_header_passes(tmp_path):
    reference = made_up.write(tmp_path / "ct.nii.gz", np.zeros(made_up.SHAPE, np.uint8))
    other = made_up.write(tmp_path / "m.nii.gz", np.zeros(made_up.SHAPE, np.uint8), made_up.AFFINE + np.eye(4) * 1e-4)
    check_same_grid(other, reference)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3)), "f: found 2 dimensions, expected a 3D label map"),
        (np.full((2, 2, 2), 0.5), "f: found values between whole numbers"),
        (np.full((2, 2, 2), -1), "f: found negative, huge or undefined values"),
        (np.full((2, 2, 2), np.nan), "f: found negative, huge or undefined values"),
        (np.full((2, 2, 2), "a"), "f: found values of type <U1"),
    ],
)
def test_no_label_map(array, message):
    with pytest.raises(InputError, match=message):
        as_label_map(array, "f")


def test_whole_numbers_in_other_types_are_labels():
    for kind in (bool, np.float64, np.int64, np.uint8):
        assert as_label_map(np.ones((1, 1, 2), kind), "f").tolist() == [[[1, 1]]]


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(InputError, match=r"a\.nii\.gz: found no such file"):
        read_label_map(tmp_path / "a.nii.gz")
    whole = made_up.write(
        tmp_path / "b.nii.gz", np.random.default_rng(0).integers(0, 99, made_up.SHAPE).astype(np.uint8)
    )
    whole.write_bytes(whole.read_bytes()[:300])
    with pytest.raises(InputError, match=r"b\.nii\.gz: found an unreadable file"):
        read_label_map(whole)


def test_voxels_of_each_value():
    # bar n has 4 x 6 voxels; the background the rest of 6 x 8 x 20
    assert count_values(made_up.segments(), 5).tolist() == [960 - 18 * 24] + [24] * 18
    assert count_values(np.zeros((2, 2, 2), np.uint8), 3).tolist() == [8, 0, 0]
