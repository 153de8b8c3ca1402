import numpy as np

from impulse_nnunet.phantom.grids import Grid, image_grid, one_from_each_cell, working_grid
from impulse_nnunet.phantom.randomness import stream


def test_the_middle_of_an_image_grid_is_its_centre():
    grid = image_grid((10.0, 20.0, 30.0), (3, 4, 5), (2.0, 1.0, 0.5))
    # 3 slices 2 mm apart around 10: 8, 10, 12; 4 rows: 18.5 to 21.5; 5 columns: 29 to 31
    assert grid.first_mm == (8.0, 18.5, 29.0)
    assert grid.positions(np.array([[2, 3, 4]])).tolist() == [[12.0, 21.5, 31.0]]
    assert grid.volume_mm3 == 1.0


def test_indices_are_the_nearest_and_stay_on_the_grid():
    grid = Grid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (4, 4, 4))
    assert grid.indices(np.array([[2.9, 3.1, 100.0], [-5.0, 0.9, 6.0]])).tolist() == [[1, 2, 3], [0, 0, 3]]


def test_subslices_fill_the_same_slab():
    grid = Grid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), (2, 4, 4)).with_subslices(3)
    # a 3 mm slice at 0 becomes 1 mm slices at -1, 0, 1
    assert grid.first_mm[0] == -1.0
    assert grid.spacing_mm == (1.0, 1.0, 1.0)
    assert grid.size == (6, 4, 4)


def test_the_working_grid_holds_the_default_field_of_view():
    grid = working_grid()
    last = grid.positions(np.array([grid.size]) - 1)[0]
    assert np.all(np.array(grid.first_mm) <= [-30, -150, -180])
    assert np.all(last >= [290, 160, 180])


def test_one_from_each_cell_takes_the_first():
    points = np.array([[0.1, 0, 0], [0.9, 0, 0], [1.1, 0, 0], [-0.1, 0, 0], [1.9, 0, 0.5]])
    assert one_from_each_cell(points, 1.0).tolist() == [0, 2, 3]


def test_streams_depend_on_seed_case_and_name_only():
    first = stream(1, 2, "veins").random(3)
    assert np.array_equal(first, stream(1, 2, "veins").random(3))
    for other in (stream(2, 2, "veins"), stream(1, 3, "veins"), stream(1, 2, "noise")):
        assert not np.array_equal(first, other.random(3))
