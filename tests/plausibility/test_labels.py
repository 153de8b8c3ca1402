"""Labels: volumes, places, tissue, and a field of view that cuts them."""

import numpy as np
import pytest

from impulse_nnunet.plausibility.facts import Channels
from impulse_nnunet.plausibility.judgement import judge_images, judge_prediction, learn
from impulse_nnunet.plausibility.labels import judge_extent
from tests.plausibility.made_up import NAMES, SHAPE, Z_Y_X, chest, facts, labelled


def learned_of(seeds):
    cases = []
    for seed in seeds:
        image, labels = chest(seed)
        from_images = facts(image)
        cases.append(type(from_images)(**{**vars(from_images), "labels": labelled(image, labels)}))
    return learn(cases, [1, 2])


LEARNED = learned_of(range(8))


def kinds(image, labels, to_world=Z_Y_X, faces=True):
    found = judge_prediction(LEARNED, labelled(image, labels, to_world, faces), NAMES)
    return {finding.kind: finding.text for finding in found}


def test_facts_of_two_small_labels():
    # voxels of 8 mm3. Label 1: four at x of 0, 0, 2, 2 mm; label 2: four at x of 8, 8, 10, 10 mm; centre 5 mm,
    # root mean square radius sqrt((25 + 25 + 9 + 9 + ...)/8 + y) with y all at 0 and z at 0 and 2: + 1
    labels = np.zeros((2, 1, 6), np.uint8)
    labels[:, 0, 0:2], labels[:, 0, 4:6] = 1, 2
    image = np.zeros((2, 1, 6), np.float32)
    image[..., 4:6] = 7
    found = labelled(np.where(labels == 2, 7, -3), labels)
    assert found.volume_ml == pytest.approx(8 * 0.008)
    assert found.labels[1].place is None  # fewer than 8 voxels say nothing of a place
    assert found.extent_mm.tolist() == [12, 2, 4]


def test_places_are_offsets_in_units_of_the_foregrounds_radius():
    labels = np.zeros((4, 4, 8), np.uint8)
    labels[:, :, :2], labels[:, :, 6:] = 1, 2
    found = labelled(np.where(labels == 2, 7, -3), labels)
    # x: centres at 1 and 13 mm, 6 mm from the middle; voxels 5 or 7 mm off: mean square 37; y and z: 3, 1, 1, 3: 5 each
    radius = np.sqrt(37 + 5 + 5)
    assert found.labels[1].place == pytest.approx([-6 / radius, 0, 0])
    assert found.labels[2].place == pytest.approx([6 / radius, 0, 0])
    assert found.labels[2].share_within((6.9, 7.1)) == 1.0
    assert found.labels[2].share_within((7.1, 9)) == 0.0
    # right, left, front, back, foot, head: largest sections are 16 (x), 16 (y), 16 (z) voxels, and all faces are full
    assert found.touching.tolist() == [1, 1, 1, 1, 1, 1]


def test_faces_are_named_along_the_patient():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[3:, 2:4, 2:4] = 1
    assert labelled(np.zeros((6, 6, 6)) - labels, labels).touching.tolist() == [0, 0, 0, 0, 0, 1]
    upside_down = Z_Y_X * np.array([-1, 1, 1, 1])  # the first array axis runs towards the feet
    assert labelled(np.zeros((6, 6, 6)) - labels, labels, upside_down).touching.tolist() == [0, 0, 0, 0, 1, 0]


def test_honest_cases_pass():
    for seed in range(50, 80):
        image, labels = chest(seed)
        assert kinds(image, labels) == {}, seed
        assert judge_images(LEARNED, facts(image), {0: "0000 (CT)"}) == []
        assert kinds(image[::-1, ::-1].copy(), labels[::-1, ::-1].copy(), _turned()) == {}  # stored in another order
    assert LEARNED.cases == 8


def _turned():
    matrix = Z_Y_X.copy()
    matrix[:3, :2] *= -1
    return matrix


def test_another_part_of_the_body():
    image, labels = chest(50)
    found = kinds(np.where(labels > 0, 40, image), labels)
    assert list(found) == ["body_part"]
    assert found["body_part"].startswith("0 % of the labelled voxels have values as in training, expected 50 % or more")


def test_one_label_on_other_tissue():
    image, labels = chest(50)
    found = kinds(np.where(labels == 2, np.where(np.indices(SHAPE)[0] > 6, 40, image), image), labels)
    assert list(found) == ["label_values"]
    assert found["label_values"].startswith("left organ (")


def test_a_missing_label_and_a_tiny_one():
    image, labels = chest(50)
    missing = kinds(image, np.where(labels == 2, 0, labels).astype(np.uint8))
    assert missing["label_missing"].startswith("no voxel of left organ, which all training cases have; look at")
    tiny = labels.copy()
    tiny[labels == 2] = 0
    tiny[12, 13, 20:23] = 2
    assert kinds(image, tiny)["label_volume"].startswith("left organ has 0.024 ml, expected")


def test_no_label_at_all():
    image, labels = chest(50)
    assert set(kinds(image, np.zeros_like(labels))) == {"label_missing", "total_volume"}


def test_exchanged_labels_lie_elsewhere():
    image, labels = chest(50)
    found = kinds(image, np.array([0, 2, 1], np.uint8)[labels])
    assert list(found) == ["label_place"]
    assert found["label_place"].startswith("right organ lies further to the left among the labels than in training")


@pytest.mark.parametrize(("part", "face"), [(slice(12, None), "foot"), (slice(None, 12), "head")])
def test_half_a_body(part, face):
    image, labels = chest(50)
    found = kinds(image[part], np.ascontiguousarray(labels[part]))
    assert f"% at the {face} (up to 2 % in training)" in found["fov_cut"]
    assert "fov_cut" not in kinds(image[part], np.ascontiguousarray(labels[part]), faces=False)  # another grid's faces


def test_an_image_smaller_than_what_training_cases_have_labelled():
    # the organs are 0.72 of 48 mm high, and 0.8 of 60 mm wide together
    short = judge_extent(LEARNED, np.array([60.0, 52.0, 12.0]))
    assert short.kind == "fov_cut"
    assert "12 mm from head to foot, expected" in short.text
    assert judge_extent(LEARNED, np.array([60.0, 52.0, 48.0])) is None


def test_fewer_than_five_cases_teach_nothing_of_labels():
    assert learned_of(range(4)).is_empty


def test_values_of_other_images_are_compared_in_units_of_their_spread():
    other = Channels(ct=(), masks=(), number=1)
    cases = []
    for seed in range(8):
        image, labels = chest(seed)
        from_images = facts(image, channels=other)
        cases.append(type(from_images)(**{**vars(from_images), "labels": labelled(image, labels, channels=other)}))
    learned = learn(cases, [1, 2])
    image, labels = chest(50)
    for scale, offset in ((1, 0), (37.5, 1000)):  # an MR scanner's numbers mean nothing
        assert judge_prediction(learned, labelled(image * scale + offset, labels, channels=other), NAMES) == []
    (found,) = judge_prediction(learned, labelled(np.where(labels > 0, 300, image), labels, channels=other), NAMES)
    assert found.kind == "body_part"
