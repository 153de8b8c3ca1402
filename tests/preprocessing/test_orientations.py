import nibabel
import numpy as np
import pytest
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.images import read_case
from impulse_nnunet.preprocessing.orientations import check_orientation, orientation_of, shared_orientation
from impulse_nnunet.settings import ReadingSettings


def stored(path, codes):
    axes = nibabel.orientations
    affine = axes.inv_ornt_aff(axes.ornt_transform(axes.axcodes2ornt("RAS"), axes.axcodes2ornt(codes)), (4, 5, 6))
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), affine), path)
    return str(path)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIL"])
@pytest.mark.parametrize("reader", [NibabelIO, SimpleITKIO])
def test_a_reader_that_does_not_turn_leaves_the_files_orientation(tmp_path, reader, codes):
    case = read_case(reader(), "a", [stored(tmp_path / "a_0000.nii.gz", codes)], 1)
    assert orientation_of(case) == codes


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIL"])
@pytest.mark.parametrize("reader", [NibabelIOWithReorient, SimpleITKIOWithReorient])
def test_one_that_turns_gives_one(tmp_path, reader, codes):
    case = read_case(reader(), "a", [stored(tmp_path / "a_0000.nii.gz", codes)], 1)
    assert orientation_of(case) == ("RAS" if reader is NibabelIOWithReorient else orientation_of(case))
    assert shared_orientation({"a": "RAS", "b": "LPS"}, reader) == ""


@pytest.mark.parametrize("reader", [NibabelIO, SimpleITKIO])
def test_orientations_that_differ_under_a_reader_that_does_not_turn_are_refused(reader):
    assert shared_orientation({"a": "LPS", "b": "LPS"}, reader) == "LPS"
    message = (
        rf"dataset\.json, overwrite_image_reader_writer: found {reader.__name__}, which does not turn images, with "
        r"LPS in a and RPS in c, expected one orientation in all cases, or a reader that turns them; leave the entry"
    )
    with pytest.raises(InputError, match=message):
        shared_orientation({"c": "RPS", "b": "LPS", "a": "LPS"}, reader)


def test_formats_without_a_place_have_no_orientation():
    assert shared_orientation({"a": None, "b": None}, Tiff3DIO) == ""


def test_an_image_to_predict_must_be_stored_as_the_training_images_were(tmp_path):
    case = read_case(NibabelIO(), "a", [stored(tmp_path / "a_0000.nii.gz", "LAS")], 1)
    check_orientation("a", case, ReadingSettings())
    check_orientation("a", case, ReadingSettings(orientation="LAS"))
    with pytest.raises(InputError, match="a: found an image stored in LAS, expected RAS as all training images, since"):
        check_orientation("a", case, ReadingSettings(orientation="RAS"))
