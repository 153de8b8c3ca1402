"""Slab by slab, against the whole field written at once and read by nibabel and SimpleITK."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import FileGrid, read_file_grid
from impulse_nnunet.io.label_maps import write_on_grid
from impulse_nnunet.io.vector_image import VectorImage

SHAPE = (5, 4, 3)  # d, h, w
AFFINE = np.array([[0, -0.9, 0, 5], [1.2, 0, 0, -7], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])
FIELD = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32)


@pytest.fixture
def like(tmp_path):
    image = nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), AFFINE)
    image.set_qform(AFFINE, 2)
    image.set_sform(AFFINE, 0)
    nibabel.save(image, tmp_path / "like.nii.gz")
    return tmp_path / "like.nii.gz"


def write_in_slabs(path, like):
    with VectorImage(read_file_grid(like), path, like) as image:
        for first, last in ((3, 5), (0, 2), (2, 3)):  # in any order
            image.put(first, FIELD[first:last])
    image.write()


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
def test_it_is_what_the_whole_field_gives(tmp_path, like, ending):
    write_in_slabs(tmp_path / "out" / f"field{ending}", like)
    write_on_grid(FIELD, read_file_grid(like), tmp_path / f"whole{ending}", like=like)
    found, expected = (sitk.ReadImage(str(tmp_path / name)) for name in (f"out/field{ending}", f"whole{ending}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), FIELD)
    for entry in ("GetSpacing", "GetOrigin", "GetDirection", "GetNumberOfComponentsPerPixel", "GetPixelIDTypeAsString"):
        assert getattr(found, entry)() == getattr(expected, entry)()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"field{ending}"]  # nothing is left beside it


def test_the_header_is_nibabels_and_has_the_codes_of_the_image(tmp_path, like):
    write_in_slabs(tmp_path / "field.nii.gz", like)
    write_on_grid(FIELD, read_file_grid(like), tmp_path / "whole.nii.gz", like=like)
    found, expected = (nibabel.load(tmp_path / name) for name in ("field.nii.gz", "whole.nii.gz"))
    assert found.header == expected.header
    assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (2, 0)
    # x, y, z, t, component: along x runs w, and the last axis holds the parts of a vector
    np.testing.assert_array_equal(np.asarray(found.dataobj)[2, 1, 4, 0], FIELD[4, 1, 2])


def fail():
    raise MemoryError


def test_what_was_not_written_is_dropped(tmp_path, like):
    path = tmp_path / "out" / "field.nii.gz"
    image = VectorImage(read_file_grid(like), path, like)
    image.put(0, FIELD)
    with pytest.raises(MemoryError), image:
        fail()
    assert list((tmp_path / "out").iterdir()) == []
    image = VectorImage(read_file_grid(like), path, like)
    image.put(0, FIELD)
    assert len(list((tmp_path / "out").iterdir())) == 1
    del image
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_takes_no_more_is_named(tmp_path, like):
    image = VectorImage(FileGrid.at_world_origin(SHAPE, (1, 1, 1)), tmp_path / "field.nii.gz", like)
    image.raw.unlink()
    image.raw.mkdir()
    with pytest.raises(InputError, match=r"field.nii.gz: found a write error \(.*\), expected room"):
        image.put(0, FIELD)
