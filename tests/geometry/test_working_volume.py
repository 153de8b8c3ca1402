import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from impulse_nnunet.geometry.working_volume import linear_weights, to_working_volume, working_shape

sizes = st.integers(1, 60)


def test_four_voxels_to_two_by_hand():
    # new centres at 1 and 3 (old voxels), a triangle of half-width 2; old centres 0.5, 1.5, 2.5, 3.5:
    # 1 - 0.5/2 = 0.75, 0.75, 1 - 1.5/2 = 0.25, 0, which sum to 1.75
    expected = torch.tensor([[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]])
    torch.testing.assert_close(linear_weights(4, 2), expected)


def test_a_volume_of_four_slices_by_hand():
    image = torch.tensor([7.0, 14, 28, 0]).reshape(1, 4, 1, 1).expand(1, 4, 2, 3)
    volume = to_working_volume(image, (2, 2, 3))
    # (3 * 7 + 3 * 14 + 28) / 7 = 13, (14 + 3 * 28 + 0) / 7 = 14
    assert volume.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(volume[0, :, 1, 2], [13, 14], rtol=1e-3)


@given(sizes, sizes)
def test_rows_sum_to_one_and_are_not_negative(size, new_size):
    weights = linear_weights(size, min(size, new_size))
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(min(size, new_size)))


@given(sizes, sizes)
def test_both_ends_are_treated_alike(size, new_size):
    weights = linear_weights(size, min(size, new_size))
    torch.testing.assert_close(weights, weights.flip(0, 1), atol=1e-6, rtol=0)


@given(st.integers(2, 8), st.integers(4, 8))
def test_a_ramp_stays_a_ramp_inside(reduction, new_size):
    size = reduction * new_size
    ramp = torch.arange(size) + 0.5  # position of each centre
    reduced = linear_weights(size, new_size) @ ramp
    centres = (torch.arange(new_size) + 0.5) * reduction
    torch.testing.assert_close(reduced[1:-1], centres[1:-1])


@given(st.integers(2, 8), st.integers(5, 8))
def test_each_inner_voxel_counts_once_so_the_mean_is_kept(reduction, new_size):
    shares = linear_weights(reduction * new_size, new_size).sum(0)
    inner = shares[2 * reduction : -2 * reduction]
    torch.testing.assert_close(inner, torch.full_like(inner, 1 / reduction))


@given(st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 12)] * 3))
def test_masks_stay_masks_and_the_grid_is_never_finer(shape, grid):
    mask = (torch.rand(2, *shape) > 0.5).float()
    volume = to_working_volume(mask, grid)
    assert volume.dtype == torch.float16
    assert tuple(volume.shape[1:]) == tuple(np.minimum(shape, grid)) == working_shape(shape, grid)
    assert volume.min() >= 0
    assert volume.max() <= 1


def test_on_its_own_grid_an_image_stays_as_it_is():
    image = torch.randn(2, 3, 4, 5)
    assert torch.equal(to_working_volume(image, (3, 9, 5)), image.half())


def test_axes_are_reduced_independently():
    d, h, w = torch.rand(8), torch.rand(9), torch.rand(10)
    volume = to_working_volume(torch.einsum("i,j,k->ijk", d, h, w)[None], (4, 5, 3)).float()[0]
    expected = torch.einsum("i,j,k->ijk", linear_weights(8, 4) @ d, linear_weights(9, 5) @ h, linear_weights(10, 3) @ w)
    torch.testing.assert_close(volume, expected, atol=2e-3, rtol=2e-3)


def test_values_beyond_half_precision_are_clamped():
    volume = to_working_volume(torch.tensor([1e6, -1e6]).reshape(1, 2, 1, 1), (2, 1, 1))
    assert volume.flatten().tolist() == [65504, -65504]  # the largest float16
