"""Mask inputs whose labels go on beyond the masks."""

from types import SimpleNamespace

import numpy as np
import pytest
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from impulse_nnunet.errors import InputError
from impulse_nnunet.nnunet.cases import decode_case
from impulse_nnunet.nnunet.judging import LabelledCase, judge_labels
from impulse_nnunet.preprocessing.cropping import MarginPreprocessor, margin_box, planned_margins
from impulse_nnunet.preprocessing.preprocessor import ImPulSePreprocessor
from impulse_nnunet.preprocessing.survey import reading_of, survey_dataset
from impulse_nnunet.settings import PLAN_KEY, GridSettings, ImPulSeSettings, ReadingSettings, to_json
from tests.nnunet.test_cases import template_of
from tests.security.harmful import plans_content
from tests.support import settings_for, write_nifti

CONTENT = {
    "labels": {"background": 0, "a": 1, "b": 2},
    "channel_names": {"0": "noNorm"},
    "file_ending": ".nii.gz",
}
SHAPE = (30, 32, 40)
MASK = np.zeros(SHAPE, np.uint8)
MASK[10:20, 10:20, 12:28] = 1
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[8:20, 10:22, 12:20], LABELS[8:20, 10:22, 20:31] = 1, 2  # 2 voxels below in d, 2 above in h, 3 above in w


def plans_of(margins, transpose=(0, 1, 2)):
    backward = [int(axis) for axis in np.argsort(transpose)]
    content = plans_content(transpose_forward=list(transpose), transpose_backward=backward)
    content["foreground_intensity_properties_per_channel"] = {"0": {}}
    configuration = content["configurations"]["3d_impulse"]
    reading = ReadingSettings(crop_margins_mm=margins)
    configuration |= {
        "normalization_schemes": ["NoNormalization"],
        "use_mask_for_norm": [False],
        "impulse": to_json(settings_for(reading=reading)),
        "spacing": [1.0, 1.0, 1.0],
    }
    for part in ("data", "seg", "probabilities"):
        configuration |= {f"resampling_fn_{part}": "no_resampling_hack", f"resampling_fn_{part}_kwargs": {}}
    manager = PlansManager(content)
    return manager, manager.get_configuration("3d_impulse")


def cropped(margins, spacing=(1.0, 1.0, 1.0), transpose=(0, 1, 2), preprocessor=MarginPreprocessor, labels=LABELS):
    manager, configuration = plans_of(margins, transpose)
    properties = {"spacing": list(spacing)}
    seg = None if labels is None else labels[None].astype(np.int16)
    return preprocessor(verbose=False).run_case_npy(MASK[None], seg, properties, manager, configuration, CONTENT)


def test_margins_are_planned_from_the_training_cases():
    assert planned_margins([np.zeros(6), np.zeros(6)]) == ()
    needed = [np.array([0, 0, 7.2, 0, 0, 0]), np.array([0, 1.5, 3, 0, 0, 0])]
    # twice the largest, whole mm, and not less than 10
    assert planned_margins(needed) == (10, 10, 15, 10, 10, 10)


def test_the_survey_sees_how_far_labels_go(tmp_path):
    dataset = {}
    for case in "ab":
        image = write_nifti(tmp_path / f"{case}_0000.nii.gz", MASK.astype(np.float32), (3.0, 2.0, 1.5))
        dataset[case] = {"images": [image], "label": write_nifti(tmp_path / f"{case}.nii.gz", LABELS, (3.0, 2.0, 1.5))}
    survey = survey_dataset(dataset, NibabelIOWithReorient, CONTENT, 1, False)
    found = survey["a"]
    # reading turns LPS files to RAS: h and w run the other way
    np.testing.assert_allclose(found.excess_mm, [2 * 1.5, 0, 2 * 2.0, 0, 3 * 3.0, 0])
    np.testing.assert_allclose(found.room_mm, [10 * 1.5, 10 * 1.5, 12 * 2.0, 10 * 2.0, 12 * 3.0, 12 * 3.0])
    assert reading_of(survey, NibabelIOWithReorient).crop_margins_mm == (10, 10, 10, 10, 18, 10)
    # 10 + 10 of 15 + 15 mm in d; 10 + 10 of 24 + 20; 18 + 10 of 36 + 36
    wider = found.cropped((10, 10, 10, 10, 18, 10)).image_extent_mm - found.image_extent_mm
    np.testing.assert_allclose(wider, [20, 20, 28])
    assert found.cropped(()) is found


def test_the_box_ends_at_the_images_faces():
    assert margin_box(MASK[None], (2.0, 1.0, 1.0), (5, 100, 0, 0, 1, 2.5)) == ((7, 30), (10, 20), (11, 31))
    with pytest.raises(InputError, match="found an image that is zero everywhere"):
        margin_box(np.zeros((1, 3, 3, 3)), (1, 1, 1), (0,) * 6)


def test_labels_are_kept_whole_with_margins_and_were_not_without():
    _, before, _ = cropped(())
    assert (before > 0).sum() == 10 * 10 * 16  # of 12 * 12 * 19: what nnU-Net's crop leaves
    image, after, properties = cropped((4,) * 6)
    assert (after > 0).sum() == 12 * 12 * 19
    assert image.shape == (1, 18, 18, 24)
    assert image.sum() == MASK.sum()
    assert properties["bbox_used_for_cropping"] == [[6, 24], [6, 24], [8, 32]]
    assert properties["shape_before_cropping"] == SHAPE
    assert (after[0, 0] == -1).all()  # outside of the content, as nnU-Net marks it


def test_old_plans_crop_as_nnunet_does():
    image, _, properties = cropped(())
    assert image.shape == (1, 10, 10, 16)
    assert properties["bbox_used_for_cropping"] == [[10, 20], [10, 20], [12, 28]]


def test_axes_may_be_transposed():
    margins = (1, 2, 3, 4, 5, 6)
    _, straight, plain = cropped(margins)
    _, turned, properties = cropped(margins, transpose=(2, 0, 1))
    np.testing.assert_array_equal(turned[0], straight[0].transpose(2, 0, 1))
    d, h, w = plain["bbox_used_for_cropping"]
    assert properties["bbox_used_for_cropping"] == [w, d, h]


def test_preprocessing_for_training_crops_alike():
    _, labels, properties = cropped((4,) * 6, preprocessor=ImPulSePreprocessor)
    assert properties["bbox_used_for_cropping"] == [[6, 24], [6, 24], [8, 32]]
    assert (labels > 0).sum() == 12 * 12 * 19


def test_a_prediction_returns_to_its_place():
    image, _, properties = cropped((0, 0, 0, 0, 0, 0), labels=None)
    properties["shape_after_cropping_and_before_resampling"] = image.shape[1:]
    manager, _ = plans_of(())
    labels = decode_case(template_of(np.ones((2, 3, 4), int)), 1000, properties, manager).labels
    np.testing.assert_array_equal(labels, MASK)


def test_plans_that_resample_cannot_have_margins():
    manager, configuration = plans_of((1,) * 6)
    configuration.configuration["resampling_fn_data"] = "resample_data_or_seg_to_shape"
    with pytest.raises(InputError, match="plans, resampling_fn_data: found 'resample_data_or_seg_to_shape', expected"):
        MarginPreprocessor(verbose=False).run_case_npy(
            MASK[None], None, {"spacing": [1, 1, 1]}, manager, configuration, CONTENT
        )


@pytest.mark.parametrize("margins", [(1, 2), (-1,) * 6, (float("nan"),) * 6])
def test_margins_that_are_none(margins):
    with pytest.raises(InputError, match=r"plans, reading.crop_margins_mm: found .*, expected nothing, or six lengths"):
        ReadingSettings(crop_margins_mm=margins)


def test_labels_that_end_at_the_crop_are_noted():
    properties = {"bbox_used_for_cropping": [[10, 20], [0, 32], [12, 28]]}
    settings = {PLAN_KEY: to_json(ImPulSeSettings(grid=GridSettings((8, 8, 8), (8, 8, 8))))}
    predictor = SimpleNamespace(
        plans_manager=SimpleNamespace(transpose_forward=[0, 1, 2]),
        configuration_manager=SimpleNamespace(configuration=settings),
    )

    def found(labels):
        case = LabelledCase(case="a", labels=labels, spacing_mm=(1, 1, 1), image=None, properties=properties)
        return [finding.text for finding in judge_labels(predictor, case)]

    inside = np.zeros(SHAPE, np.uint8)
    inside[11:19, 0:32, 13:27] = 1  # it touches the image's faces in h, which are no cut
    assert found(inside) == []
    inside[10, 5, 15] = inside[15, 5, 27] = 2
    assert found(inside) == [
        "labels reach 2 face(s) of the box of nonzero voxels, to which images are cropped; they may be cut"
    ]
