"""Head and feet, front and back: turned bodies are noticed, honest and cropped ones are not."""

import numpy as np
import pytest

from impulse_nnunet.laterality.asymmetry import CELLS, decode
from impulse_nnunet.laterality.pose import (
    AXES,
    LearnedPose,
    gains,
    learn_pose,
    odd_poses,
    pose_cells,
    pose_of,
    turn,
    turned_over,
)
from tests.laterality.bodies import Z_Y_X, body


def patient(seed):
    """A body with an abdomen below the lungs and a spine at the back; (d, h, w), foot to head, front to back."""
    image = body(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in image.shape], indexing="ij")
    image[(z < -0.3) & (image < -500) & (x**2 + y**2 < 0.5)] += 900
    image[(y - 0.62) ** 2 + x**2 < 0.02] += 400
    return image


def pose(image, to_world=Z_Y_X):
    return pose_of(pose_cells(image, to_world))


TRAINING = {f"c{seed}": pose(patient(seed)) for seed in range(8)}
LEARNED = learn_pose(TRAINING)
MEAN = decode(LEARNED.pattern)
OTHERS = [patient(seed) for seed in range(50, 70)]


def test_both_ends_are_told():
    assert LEARNED.axes == ("head", "front")


def test_the_pattern_of_two_cells():
    # one bright cell in front of the head, less its mean with the three others: 3/4 and three times -1/4 of it, scaled
    cells = np.zeros(CELLS)
    cells[0, 0, 0] = 1
    found = pose_of(cells).reshape(8, 8, 6)
    assert found[[0, 0, 7, 7], [0, 7, 0, 7], 0] == pytest.approx(np.array([3, -1, -1, -1]) / np.sqrt(12))
    assert np.count_nonzero(found) == 4
    mean = turn(found, AXES).ravel()
    assert turned_over(found.ravel(), mean) == ("head", "front")
    assert turned_over(found.ravel(), found.ravel()) == ()
    assert gains(found.ravel(), found.ravel(), ("front",)).keys() == {("front",)}
    assert pose_of(np.ones(CELLS)) is None


@pytest.mark.parametrize(
    ("view", "axes"),
    [
        ((slice(None, None, -1),), ("head",)),
        ((slice(None), slice(None, None, -1)), ("front",)),
        ((slice(None, None, -1), slice(None, None, -1)), ("head", "front")),
        ((slice(None, None, -1), slice(None), slice(None, None, -1)), ("head",)),
    ],
)
def test_turned_bodies_are_noticed(view, axes):
    assert {turned_over(pose(image[view]), MEAN) for image in OTHERS} == {axes}


@pytest.mark.parametrize(
    "view",
    [
        (slice(None),),
        (slice(3, None),),
        (slice(None, -3),),
        (slice(None), slice(2, -2), slice(4, None)),
        (slice(None), slice(None), slice(None, None, -1)),  # left and right are not looked at here
    ],
)
def test_honest_and_cropped_bodies_pass(view):
    assert {turned_over(pose(image[view]), MEAN) for image in OTHERS} == {()}


def test_the_header_says_how_an_array_lies():
    stored = OTHERS[0][::-1]
    to_world = Z_Y_X.copy()
    to_world[2] *= -1
    assert turned_over(pose(stored, to_world), MEAN) == ()


def test_a_turned_training_case_is_named():
    cases = TRAINING | {f"d{seed}": pose(patient(seed)) for seed in range(20, 26)}
    assert odd_poses(cases) == {}
    assert odd_poses(cases | {"c3": pose(patient(3)[::-1])}) == {"c3": ("head",)}


def test_images_without_ends_are_not_judged(caplog):
    rng = np.random.default_rng(0)
    noise = {f"c{seed}": pose(rng.normal(size=(16, 16, 16))) for seed in range(8)}
    with caplog.at_level("INFO"):
        assert learn_pose(noise) == LearnedPose()
    assert "do not tell head from feet and front from back" in caplog.text
    assert learn_pose(dict(list(TRAINING.items())[:4])) == LearnedPose()
    assert odd_poses({}) == {}
