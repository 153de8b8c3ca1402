import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import LabelMap
from impulse_nnunet.io.turned import turned_like

LEAN = Rotation.from_euler("zyx", [20, -30, 40], degrees=True).as_matrix()


def grid(direction, size=(3, 4, 5)):
    return FileGrid(size=size, spacing_mm=np.array([0.7, 0.9, 2.0]), origin=np.array([5.0, -6, 7]), direction=direction)


def places(label_map):
    """Place of each voxel -> its label."""
    indices = np.argwhere(np.ones(label_map.labels.shape))
    world = (np.c_[indices, np.ones(len(indices))] @ label_map.grid.to_world.T)[:, :3]
    return {
        tuple(np.round(place, 4)): int(label_map.labels[tuple(index)])
        for place, index in zip(world, indices, strict=True)
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_labels_stay_at_their_places_and_axes_run_as_the_grids(order, signs):
    stored = LEAN[:, order] * np.array(signs)
    made = LabelMap(np.arange(60, dtype=np.uint8).reshape(5, 4, 3), grid(stored), Path("labels.nii.gz"))
    found = turned_like(made, grid(LEAN))
    np.testing.assert_allclose(found.grid.direction, LEAN, atol=1e-12)
    assert found.labels.shape == found.grid.shape
    assert places(found) == places(made)
