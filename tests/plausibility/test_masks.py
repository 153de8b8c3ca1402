"""Mask channels: other values, empty, too large, exchanged; at planning and at prediction."""

from dataclasses import replace

import numpy as np
import pytest

from impulse_nnunet.plausibility.facts import Channels
from impulse_nnunet.plausibility.masks import judge_masks, learn_masks, mask_facts, odd_masks
from tests.plausibility.made_up import Z_Y_X, chest, facts

TITLES = {1: "0001 (bronchus)", 2: "0002 (vein)"}
KINDS = Channels(ct=(0,), masks=(1, 2), number=3)


def channels(seed):
    """(3, d, h, w): CT, a mask of 4 x 4 x 16 voxels or so in the left half, one of 8 x 4 x 16 in the right half."""
    image, _ = chest(seed)
    images = np.zeros((3, *image.shape), np.float32)
    images[0] = image
    shift = seed % 3
    images[1, 4 + shift : 20, 10:14, 18:22] = 1
    images[2, 4 : 20 - shift, 8:16, 6:10] = 1
    return images


def masks_of(images):
    return facts(images, channels=KINDS).masks


LEARNED = learn_masks([masks_of(channels(seed)) for seed in range(9)])


def kinds(images):
    return [finding.kind for finding in judge_masks(LEARNED, masks_of(images), TITLES)]


def test_facts_of_a_small_mask():
    # 2 x 1 x 1 voxels of 8 mm3 are 0.016 ml; the only mask is its own centre; the image's mean in it is (3 + 5) / 2
    images = np.zeros((1, 4, 4, 4), np.float32)
    images[0, 1:3, 2, 1] = 255
    image = np.zeros((4, 4, 4), np.float32)
    image[1, 2, 1], image[2, 2, 1] = 3, 5
    (found,) = mask_facts(images, (0,), Z_Y_X, image, 1)
    assert (found.values, found.whole, found.is_empty) == ((0.0, 255.0), True, False)
    assert found.volume_ml == pytest.approx(0.016)
    assert found.features == pytest.approx((np.log(0.016), 0, 0, 0, 4))


def test_what_is_learned():
    assert [mask.values for mask in LEARNED] == [(0.0, 1.0)] * 2
    assert [mask.unlike for mask in LEARNED] == [(2,), (1,)]
    # 16 x 4 x 4 to 14 x 4 x 4 voxels of 8 mm3, and a factor of 2 and more around them
    low, high = LEARNED[0].volume_ml
    assert low < 14 * 16 * 0.008 / 2
    assert high > 16 * 16 * 0.008 * 2


def test_honest_masks_pass():
    assert {tuple(kinds(channels(seed))) for seed in range(20, 40)} == {()}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda mask, image: mask * 255, "mask channel 0001 (bronchus) has values 0 to 255; training cases have whole"),
        (lambda mask, image: mask * 0.9, "has values 0 to 0.9, not all whole; training cases have whole numbers 0 to"),
        (lambda mask, image: image, "has values -10"),
    ],
)
def test_other_values_than_in_training(change, text):
    images = channels(30)
    images[1] = change(images[1], images[0])
    (found,) = judge_masks(LEARNED, masks_of(images), TITLES)
    assert found.kind == "mask_values"
    assert text in found.text


def test_an_empty_mask_and_one_that_is_far_too_large():
    images = channels(30)
    images[1] = 0
    assert kinds(images) == ["mask_empty"]
    images = channels(30)
    images[1, 2:-2, 2:-2, 2:-2] = 1
    assert "mask_volume" in kinds(images)


def test_two_masks_exchanged():
    images = channels(30)[[0, 2, 1]]
    (found,) = judge_masks(LEARNED, masks_of(images), TITLES)
    assert found.kind == "masks_swapped"
    assert found.text.startswith("mask channels 0001 (bronchus) and 0002 (vein) look exchanged")


def test_masks_that_training_cases_do_not_tell_apart_are_not_called_exchanged():
    alike = [masks_of(channels(seed)[[0, 1, 2] if seed % 2 else [0, 2, 1]]) for seed in range(9)]
    learned = learn_masks(alike)
    assert [mask.unlike for mask in learned] == [(), ()]
    assert [found for case in alike for found in judge_masks(learned, case, TITLES)] == []


def test_few_training_cases_tell_the_values_only():
    learned = learn_masks([masks_of(channels(seed)) for seed in range(2)])
    assert [(mask.values, mask.volume_ml, mask.empty) for mask in learned] == [((0.0, 1.0), (), True)] * 2
    images = channels(30)
    images[1], images[2] = images[1] * 255, 0
    assert [found.kind for found in judge_masks(learned, masks_of(images), TITLES)] == ["mask_values"]


def test_a_mask_that_some_training_cases_lack_may_be_empty():
    some = [masks_of(channels(seed)) for seed in range(9)]
    some[0] = (replace(some[0][0], volume_ml=0.0, features=()), some[0][1])
    images = channels(30)
    images[1] = 0
    assert judge_masks(learn_masks(some), masks_of(images), TITLES) == []


def test_training_cases_stored_otherwise_than_most():
    cases = {f"c{seed}": masks_of(channels(seed)) for seed in range(6)}
    assert odd_masks(cases, TITLES) == []
    for seed in range(3):  # half of them: the smaller value is taken for the right one
        images = channels(seed)
        images[1] *= 255
        cases[f"c{seed}"] = masks_of(images)
    assert [(odd.case, odd.title, odd.values, odd.usual) for odd in odd_masks(cases, TITLES)] == [
        (f"c{seed}", TITLES[1], (0.0, 255.0), 1.0) for seed in range(3)
    ]


def test_all_training_cases_with_0_and_255_are_alike():
    scaled = {}
    for seed in range(6):
        images = channels(seed)
        images[1:] *= 255
        scaled[f"c{seed}"] = masks_of(images)
    assert odd_masks(scaled, TITLES) == []


def test_a_ct_in_a_mask_channel_of_all_training_cases():
    swapped = {f"c{seed}": masks_of(channels(seed)[[1, 0, 2]]) for seed in range(6)}
    assert {odd.case for odd in odd_masks(swapped, TITLES)} == set(swapped)
