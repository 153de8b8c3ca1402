import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impulse_nnunet.outputs.page.packing import PositionGrid, byte_planes, differences, mesh_bytes, packed
from tests.outputs.page.reading import integers, mesh_of


def test_byte_planes_by_hand():
    # differences 3, -1, 256; zigzag 6, 1, 512 = 0x0200
    assert byte_planes(np.array([3, 2, 258]), 2) == bytes([6, 1, 0, 0, 0, 2])


@given(st.lists(st.integers(-(2**21), 2**21), max_size=40))
def test_byte_planes_come_back(values):
    assert integers(byte_planes(np.array(values, np.int64), 3), len(values), 3) == (values, b"")


def test_numbers_that_do_not_fit_are_told():
    assert byte_planes(np.array([63]), 1) == bytes([126])
    with pytest.raises(OverflowError, match="a difference of 64 in 1 bytes"):
        byte_planes(np.array([64]), 1)


def test_a_mesh_comes_back_to_half_a_step():
    points = np.array([[-200.0, 10, 5], [200, 10, 5], [0.1234, -30, 7]])
    triangles = np.array([[0, 1, 2], [2, 1, 0], [1, 0, 2]])
    grid = PositionGrid.around(points.min(axis=0), points.max(axis=0))
    one = {"mesh": {"chunk": 0, "points": 3, "triangles": 3}}
    found = mesh_of(one, {"lower": grid.lower, "step": grid.step}, [mesh_bytes(points, triangles, grid)])
    assert np.abs(found[0] - points).max() <= 0.5 * 400 / 65535 + 1e-9  # 400 mm in 65535 steps
    assert (found[1] == triangles).all()


def test_grey_levels_as_differences_modulo_256():
    assert differences(np.array([[3, 5], [4, 0]], np.uint8)) == bytes([3, 2, 255, 252])


def test_the_same_bytes_give_the_same_text():
    assert packed(b"abc") == packed(b"abc")
