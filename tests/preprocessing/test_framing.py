from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from scipy.spatial.transform import Rotation

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.grid import reader_grid
from impulse_nnunet.io.images import read_case
from impulse_nnunet.io.upright import own_grid
from impulse_nnunet.preprocessing.framing import Frame, content_box, frame_of, framed, margins_of, otsu_threshold
from impulse_nnunet.settings import ReadingSettings

SHAPE = (30, 40, 50)


def body(shape=SHAPE, lower=(5, 8, 10), upper=(25, 36, 45), seed=0):
    """A block of tissue with a block of lung in it, in noisy air, HU."""
    values = np.full(shape, -1000.0)
    values[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))] = 40
    values[10:20, 15:30, 20:35] = -850
    return (values + np.random.default_rng(seed).normal(0, 25, shape)).astype(np.float32)[None]


def test_the_content_of_a_ct_is_the_body():
    lower, upper = content_box(body(), ())
    assert (lower.tolist(), upper.tolist()) == ([5, 8, 10], [25, 36, 45])


def test_a_speck_is_no_content():
    image = body()
    image[0, 0, 0, 0] = 3000
    assert content_box(image, ())[0].tolist() == [5, 8, 10]


def test_the_content_of_masks_is_what_any_holds():
    masks = np.zeros((2, 6, 7, 8), np.float32)
    masks[0, 1, 2, 3] = masks[1, 4, 5, 5] = 1
    lower, upper = content_box(masks, (0, 1))
    assert (lower.tolist(), upper.tolist()) == ([1, 2, 3], [5, 6, 6])
    assert content_box(masks * 0, (0, 1)) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_itk(seed):
    image = body(seed=seed)[0]
    expected = sitk.OtsuThresholdImageFilter()
    expected.SetNumberOfHistogramBins(256)
    expected.Execute(sitk.GetImageFromArray(image))
    # air lies at -1000, lung at -850 and tissue at 40 HU, noise of 25: any value between parts the same voxels
    np.testing.assert_array_equal(image > otsu_threshold(image), image > expected.GetThreshold())


def test_an_image_of_one_value_has_no_content():
    assert content_box(np.ones((1, 4, 5, 6), np.float32), ()) is None


def test_margins_by_hand():
    found = margins_of(body(), ())
    np.testing.assert_allclose(found, [5 / 30, 5 / 30, 8 / 40, 4 / 40, 10 / 50, 5 / 50])


def test_margins_count_from_the_box_that_nnunet_crops_to():
    image = np.pad(body(), ((0, 0), (3, 0), (0, 7), (2, 2)))  # zeros, as some software pads
    np.testing.assert_allclose(margins_of(image, ()), [5 / 30, 5 / 30, 8 / 40, 4 / 40, 10 / 50, 5 / 50])


@pytest.mark.parametrize("reach", [0, 4])
def test_a_frame_cuts_and_pads(reach):
    array = np.arange(24).reshape(2, 3, 4)
    found = Frame(np.array([1, -reach, 1]), np.array([2, 3, 4 + reach])).cut(array, -1)
    np.testing.assert_array_equal(found[:, reach:, :3], array[1:2, :, 1:4])
    assert found.shape == (1, 3 + reach, 3 + reach)
    assert (found == -1).sum() == found.size - 9


def oblique_case(folder, margin=0):
    """The body in an oblique image that covers it, and ITK's image of its straight scan."""
    straight = sitk.GetImageFromArray(body()[0])
    straight.SetSpacing((1.0, 1.5, 2.0))
    straight.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])  # RAS
    turn = Rotation.from_euler("z", 25, degrees=True).as_matrix() @ np.diag([-1, -1, 1])
    size = np.array([90, 70, 36])
    centre = np.array(straight.TransformContinuousIndexToPhysicalPoint([24.5, 19.5, 14.5]))
    grid = sitk.Image(size.tolist(), sitk.sitkFloat32)
    grid.SetSpacing(straight.GetSpacing())
    grid.SetDirection(turn.ravel().tolist())
    grid.SetOrigin((centre - turn @ (np.array(straight.GetSpacing()) * (size - 1) / 2)).tolist())
    sitk.WriteImage(
        sitk.Resample(straight, grid, sitk.Transform(), sitk.sitkLinear, -1000), str(folder / "a_0000.nii.gz")
    )
    return read_case(NibabelIOWithReorient(), "a", [str(folder / "a_0000.nii.gz")], 1), straight


def test_an_oblique_image_is_framed_as_the_straight_one(tmp_path):
    raw, straight = oblique_case(tmp_path)
    found = framed(raw, (), margins_of(body(), ()))
    assert np.abs(np.array(found.images.shape[1:]) - SHAPE).max() <= 2
    grid = reader_grid(found.images.shape[1:], found.properties)
    first = np.array(straight.TransformIndexToPhysicalPoint((0, 0, 0)))
    assert np.all(np.abs(grid.origin - first) <= 2 * np.array(straight.GetSpacing()))
    np.testing.assert_array_equal(own_grid(found.properties)[0].to_world, own_grid(raw.properties)[0].to_world)
    index = (15, 20, 12)  # in tissue beside the lung
    place = straight.TransformPhysicalPointToContinuousIndex((grid.to_world @ (*index, 1))[:3].tolist())
    assert abs(found.images[0][index] - body()[0][tuple(np.round(place[::-1]).astype(int))]) < 150


def test_upright_images_keep_their_frame(tmp_path):
    raw = SimpleNamespace(images=body(), properties={"spacing": [1, 1, 1]})
    assert framed(raw, (), (0.2,) * 6) is raw


def test_margins_that_the_plans_do_not_know_are_usual(tmp_path):
    raw, _ = oblique_case(tmp_path)
    box = content_box(raw.images, ())
    edges = box[1] - box[0]
    frame = frame_of(raw, (), ())
    np.testing.assert_allclose(frame.upper - frame.lower, edges / 0.9, atol=1)


@pytest.mark.parametrize("margins", [(0.1,) * 5, (0.5, 0.5, 0, 0, 0, 0), (-0.1, 0, 0, 0, 0, 0)])
def test_margins_that_leave_no_image_are_refused(margins):
    with pytest.raises(
        InputError, match=r"plans, reading\.margins: found .*, expected nothing, or three pairs of shares"
    ):
        ReadingSettings(margins=margins)
