import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from impulse_nnunet.laterality.asymmetry import NUMBERS, asymmetry, decode, encode, mean_asymmetry
from tests.laterality.bodies import Z_Y_X, body


def test_a_single_bright_cell_by_hand():
    # 8 x 8 x 12 voxels are the cells themselves; the bright one and its mirror image share one number
    image = np.zeros((8, 8, 12))
    image[5:] = np.abs(np.arange(12) - 5.5) * 10  # symmetric about the middle, keeps the plane there
    image[2, 3, 4] = 1
    found = asymmetry(image, Z_Y_X).reshape(8, 8, 6)
    assert found[2, 3, 4] == pytest.approx(1)
    assert np.abs(found).sum() == pytest.approx(1)


def test_a_mirrored_image_has_the_same_with_other_signs():
    image = body(0)
    np.testing.assert_allclose(asymmetry(image[..., ::-1], Z_Y_X), -asymmetry(image, Z_Y_X), atol=1e-6)


def test_a_header_that_tells_of_the_mirror_changes_nothing():
    # the same patient, stored from left to right, and the header says so
    image, stored = body(0), Z_Y_X @ np.diag([1.0, 1, -1, 1])
    np.testing.assert_allclose(asymmetry(image[..., ::-1], stored), asymmetry(image, Z_Y_X), atol=1e-6)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_any_order_of_axes_gives_the_same(axes):
    image, matrix = body(1), Z_Y_X.copy()
    matrix[:, :3] = Z_Y_X[:, list(axes)]
    np.testing.assert_allclose(asymmetry(image.transpose(axes), matrix), asymmetry(image, Z_Y_X), atol=1e-5)


@given(st.floats(0.1, 10), st.floats(-1000, 1000))
def test_unit_and_offset_of_the_intensities_do_not_matter(factor, offset):
    image = body(2)
    np.testing.assert_allclose(asymmetry(factor * image + offset, Z_Y_X), asymmetry(image, Z_Y_X), atol=1e-3)


def test_a_patient_off_centre_gives_much_the_same():
    image = body(5)
    for left, right in ((8, 0), (0, 8), (3, 5)):
        moved = np.pad(image, ((0, 0), (0, 0), (left, right)), constant_values=-1000)
        assert asymmetry(moved, Z_Y_X) @ asymmetry(image, Z_Y_X) > 0.9


def test_symmetric_images_have_none():
    image = body(3)
    assert asymmetry(image + image[..., ::-1], Z_Y_X) is None
    assert asymmetry(np.zeros((4, 5, 6)), Z_Y_X) is None
    assert mean_asymmetry([np.ones(3), -np.ones(3)]) is None


def test_text_keeps_the_direction():
    numbers = asymmetry(body(4), Z_Y_X)
    text = encode(numbers)
    assert len(text) == 512
    assert decode(text) @ numbers > 0.999
    assert numbers.shape == (NUMBERS,)
    for bad in ("", "AAAA", "no base64!", "A" * 512):
        with pytest.raises(ValueError, match=r"."):
            decode(bad)
