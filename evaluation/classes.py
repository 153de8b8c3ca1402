"""Labels of a file to the classes that the metrics count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.kernels import occurring_values
from impulse_nnunet.io.label_maps import LARGEST_LABEL, LabelMap


def to_classes(label_map: LabelMap, labels: Sequence[int]) -> np.ndarray:
    """Replace labels by classes: 0 stays, ``labels[i]`` becomes i + 1; (d, h, w) uint8 or uint16.

    Raises:
        InputError: A label that is not among them.
    """
    occurs = np.zeros(LARGEST_LABEL + 1, bool)
    occurring_values(label_map.labels.reshape(-1), occurs)
    occurs[[0, *labels]] = False
    if occurs.any():
        unknown = ", ".join(str(v) for v in np.flatnonzero(occurs)[:5])
        known = ", ".join(str(v) for v in labels)
        raise InputError(
            str(label_map.path),
            f"label(s) {unknown}",
            f"only 0, {known}",
            "correct the label map, or name its labels in dataset.json",
        )
    if list(labels) == list(range(1, len(labels) + 1)):
        return label_map.labels
    table = np.zeros(LARGEST_LABEL + 1, np.uint8 if len(labels) <= 255 else np.uint16)
    table[list(labels)] = np.arange(1, len(labels) + 1)
    return table[label_map.labels]
