from pathlib import Path

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.classes import to_classes
from impulse_nnunet.io.grid import FileGrid
from impulse_nnunet.io.label_maps import LabelMap


def in_memory(labels):
    labels = np.asarray(labels).reshape(1, 1, -1)
    return LabelMap(labels, FileGrid.at_world_origin(labels.shape, (1, 1, 1)), Path("reference.nii.gz"))


def test_classes():
    assert to_classes(in_memory(np.array([0, 7, 3, 3], np.uint8)), [3, 7]).ravel().tolist() == [0, 2, 1, 1]
    assert to_classes(in_memory(np.array([2, 0, 1], np.uint8)), [1, 2, 3]).ravel().tolist() == [2, 0, 1]
    large = to_classes(in_memory(np.array([0, 65535, 500], np.uint16)), [500, 65535])
    assert (large.ravel().tolist(), large.dtype) == ([0, 2, 1], np.uint8)
    many = to_classes(in_memory(np.array([0, 1300, 1001], np.uint16)), list(range(1001, 1301)))
    assert (many.ravel().tolist(), many.dtype) == ([0, 300, 1], np.uint16)


def test_unknown_labels_are_named():
    labels = in_memory(np.array([0, 1, 9, 8, 4], np.uint8))
    with pytest.raises(InputError, match=r"reference.nii.gz: found label\(s\) 8, 9, expected only 0, 1, 4; "):
        to_classes(labels, [1, 4])
