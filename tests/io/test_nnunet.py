import importlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.utilities import utils

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.nnunet import list_without_processes, lists_of_files, read_array, reader_for, write_segmentation

# names that invite mistakes
NAMES = (
    "a_0000",
    "a_0001",
    "b_0000",
    "a_b_0000",
    "c_0000_0000",
    "c_0000_0001",
    "d.e_0000",
    "ü n_0000",
    "x_000",
    "y_00000",
)


def test_the_lists_are_nnunets(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "other_0000.nii").touch()
    stock = importlib.reload(utils).create_lists_from_splitted_dataset_folder  # ours may stand in its place
    assert lists_of_files(str(tmp_path), ".nii.gz") == stock(str(tmp_path), ".nii.gz", num_processes=1)
    list_without_processes()


def test_files_that_operating_systems_leave_are_no_cases(tmp_path):
    for name in ("a_0000.nii.gz", "._a_0000.nii.gz", "._b_0000.nii.gz", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).touch()
    list_without_processes()
    assert utils.get_identifiers_from_splitted_dataset_folder(str(tmp_path), ".nii.gz") == ["a"]
    assert lists_of_files(str(tmp_path), ".nii.gz") == [[str(tmp_path / "a_0000.nii.gz")]]


@pytest.mark.parametrize(
    ("ending", "named", "expected"),
    [
        (".nii.gz", None, NibabelIOWithReorient),
        (".nii", None, NibabelIOWithReorient),
        (".nii.gz", "None", NibabelIOWithReorient),
        (".nii.gz", "SimpleITKIO", SimpleITKIO),
        (".nii.gz", "NibabelIO", NibabelIO),
        (".mha", None, SimpleITKIOWithReorient),
        (".nrrd", None, SimpleITKIOWithReorient),
    ],
)
def test_reader_by_ending_unless_named(ending, named, expected):
    content = {"file_ending": ending} | ({} if named is None else {"overwrite_image_reader_writer": named})
    assert reader_for(content) is expected


def test_an_ending_that_no_reader_knows():
    message = r"dataset.json: found file_ending '.xyz', expected an ending that one of nnU-Net's readers knows; convert"
    with pytest.raises(InputError, match=message):
        reader_for({"file_ending": ".xyz"})


@pytest.mark.parametrize("named", ["NibabelIOReorient", "", 3, None])
def test_a_reader_that_nnunet_does_not_know(named):
    message = r"dataset\.json, overwrite_image_reader_writer: found .*, expected NibabelIOWithReorient, .*; correct the"
    with pytest.raises(InputError, match=message):
        reader_for({"file_ending": ".nii.gz", "overwrite_image_reader_writer": named})


def test_labels_above_255_keep_their_numbers_in_itks_formats(tmp_path):
    labels = np.zeros((3, 4, 5), np.uint16)
    labels[1, 2, 3] = 300  # in 8 bits: 44
    image = sitk.GetImageFromArray(labels)
    image.SetDirection([0, 1, 0, -1, 0, 0, 0, 0, 1])
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    array, properties = read_array(SimpleITKIOWithReorient(), str(tmp_path / "a.nrrd"))
    write_segmentation(SimpleITKIOWithReorient(), array[0].astype(np.uint16), tmp_path / "b.nrrd", properties)
    again = sitk.ReadImage(str(tmp_path / "b.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(again), labels)
    np.testing.assert_allclose(again.GetDirection(), image.GetDirection())


@pytest.mark.parametrize(
    ("dtype", "found"),
    [("complex64", "numbers of type complex64"), ([("R", "u1"), ("G", "u1"), ("B", "u1")], "colours")],
)
@pytest.mark.parametrize("reader", [NibabelIOWithReorient, SimpleITKIO])
def test_voxels_that_are_no_real_numbers_are_refused(tmp_path, reader, dtype, found):
    file = tmp_path / "a_0000.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), dtype), np.eye(4)), file)
    with pytest.raises(InputError, match=f"found {found}, expected an image of real numbers"):
        read_array(reader(), str(file))
