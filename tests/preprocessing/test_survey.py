import numpy as np
import pytest
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.geometry.boxes import bounding_box
from impulse_nnunet.preprocessing.survey import allowed_labels, for_all_cases, survey_case, survey_dataset
from tests.support import write_nifti

SHAPE = (6, 7, 8)
CONTENT = {"labels": {"background": 0, "a": 1, "b": 2}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}


def write_case(folder, name, image, labels, spacing_mm=(1.0, 1.0, 1.0)):
    return {
        "images": [write_nifti(folder / f"{name}_0000.nii.gz", image.astype(np.float32), spacing_mm)],
        "label": write_nifti(folder / f"{name}.nii.gz", labels.astype(np.uint8), spacing_mm),
    }


def block(lower, upper, value=1):
    array = np.zeros(SHAPE)
    array[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))] = value
    return array


def test_bounding_box_by_hand():
    mask = np.zeros(SHAPE, bool)
    mask[2, 3, 7] = mask[4, 1, 5] = True
    lower, upper = bounding_box(mask)
    assert lower.tolist() == [2, 1, 5]
    assert upper.tolist() == [5, 4, 8]


def test_an_empty_mask_has_no_box():
    assert bounding_box(np.zeros(SHAPE, bool)) is None


def test_extents_in_mm(tmp_path):
    image = block((1, 0, 2), (6, 7, 6), 5.0)  # nonzero 5 x 7 x 4 voxels
    entry = write_case(tmp_path, "a", image, block((2, 3, 4), (4, 4, 7)), (0.5, 2.0, 3.0))
    survey = survey_case(NibabelIOWithReorient(), "a", entry["images"], entry["label"], 1, [0, 1])
    # the file's spacing turned to d, h, w: 3, 2, 0.5
    np.testing.assert_allclose(survey.spacing_mm, [3, 2, 0.5])
    np.testing.assert_allclose(survey.image_extent_mm, [15, 14, 2])
    np.testing.assert_allclose(survey.region_extent_mm, [6, 2, 1.5])


def test_unlabelled_voxels_are_no_region(tmp_path):
    labels = block((0, 0, 0), SHAPE, 3)  # 3 is the ignore label
    labels[2:4, 3:4, 4:7] = 1
    content = CONTENT | {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}}
    entry = write_case(tmp_path, "a", np.ones(SHAPE), labels)
    survey = survey_dataset({"a": entry}, NibabelIOWithReorient, content, 1, False)["a"]
    np.testing.assert_allclose(survey.region_extent_mm, [2, 1, 3])


def test_the_ignore_label_is_no_foreground(tmp_path):
    content = CONTENT | {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}}
    entry = write_case(tmp_path, "a", np.ones(SHAPE), block((1, 1, 1), (3, 3, 3), 3))
    with pytest.raises(CasesFailedError, match="a: found no foreground in its segmentation, expected at least one"):
        survey_dataset({"a": entry}, NibabelIOWithReorient, content, 1, False)


def test_an_image_of_zeros_is_refused(tmp_path):
    entry = write_case(tmp_path, "a", np.zeros(SHAPE), block((1, 1, 1), (3, 3, 3)))
    message = "a: found an image that is zero everywhere, expected an image with content; leave the case out"
    with pytest.raises(InputError, match=message):
        survey_case(NibabelIOWithReorient(), "a", entry["images"], entry["label"], 1, [0, 1])


def test_every_bad_case_of_a_data_set_is_named(tmp_path):
    cases = {
        "good": write_case(tmp_path, "good", np.ones(SHAPE), block((1, 1, 1), (3, 3, 3))),
        "empty": write_case(tmp_path, "empty", np.ones(SHAPE), np.zeros(SHAPE)),
        "label": write_case(tmp_path, "label", np.ones(SHAPE), block((1, 1, 1), (3, 3, 3), 9)),
    }
    with pytest.raises(CasesFailedError) as error:
        survey_dataset(cases, NibabelIOWithReorient, CONTENT, 2, progress_bar=False)
    lines = str(error.value).splitlines()
    assert lines[0] == "2 of 3 cases failed:"
    assert lines[1].startswith("  empty: found no foreground")
    assert "found label(s) 9" in lines[2]


def test_a_good_data_set_is_surveyed_in_its_own_order(tmp_path):
    cases = {n: write_case(tmp_path, n, np.ones(SHAPE), block((1, 1, 1), (3, 3, 3))) for n in ("b", "c", "a")}
    assert list(survey_dataset(cases, NibabelIOWithReorient, CONTENT, 2, progress_bar=False)) == ["b", "c", "a"]


def test_bad_cases_do_not_stop_the_others():
    done = []

    def one(case):
        if case in ("b", "d"):
            raise InputError(case, "x", "y", "z")
        done.append(case)

    with pytest.raises(CasesFailedError) as error:
        for_all_cases(one, list("abcde"), 1, "", progress_bar=False)
    assert sorted(done) == ["a", "c", "e"]
    assert error.value.failures == {"b": "b: found x, expected y; z", "d": "d: found x, expected y; z"}
    assert error.value.number_of_cases == 5


def test_an_error_that_is_no_users_stops_at_once():
    def one(case):
        raise ZeroDivisionError(case)

    with pytest.raises(ZeroDivisionError):
        for_all_cases(one, ["a"], 2, "", progress_bar=False)


def test_results_keep_the_cases_order():
    assert list(for_all_cases(str.upper, ["b", "a"], 2, "", False).items()) == [("b", "B"), ("a", "A")]


def test_allowed_labels_include_the_ignore_label():
    assert allowed_labels(CONTENT) == [0, 1, 2]
    assert allowed_labels({"labels": {"background": 0, "a": 1, "ignore": 2}}) == [0, 1, 2]
