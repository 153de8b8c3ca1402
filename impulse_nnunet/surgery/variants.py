"""Variants of the anatomy that a surgeon wants to be told of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from impulse_nnunet.surgery.cuts import LEAST_MM, NamedTree, find_cuts

TINY_SHARE = 0.15  # of the median segment
SECOND_BRONCHUS = 0.6  # of the diameter of the first: thinner ones are side branches


def find_variants(
    trees: Mapping[str, NamedTree],
    labels: np.ndarray,
    to_world: np.ndarray,
    volumes_ml: Mapping[int, float],
    absent: tuple[int, ...],
) -> list[dict[str, object]]:
    """Segments that are missing or tiny, without a bronchus or with two, and trunks that feed several.

    Args:
        trees: Of the case; bronchi are looked at in ``airway``.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.
        volumes_ml: Of the segments that occur.
        absent: Segments that are named and do not occur.
    """
    found: list[dict[str, object]] = [{"kind": "missing segment", "labels": [label]} for label in absent]
    median = float(np.median(list(volumes_ml.values())))
    for label, volume in volumes_ml.items():
        if volume < TINY_SHARE * median:
            found.append({"kind": "tiny segment", "labels": [label], "volume_ml": round(volume, 3)})
    airway = trees.get("airway")
    if airway is None or not airway.tree.branches:
        return found
    for label in volumes_ml:
        cuts = find_cuts(airway, {label}, labels, to_world)
        widest = max((cut.diameter_mm for cut in cuts), default=0.0)
        main = [cut for cut in cuts if cut.diameter_mm >= SECOND_BRONCHUS * widest]
        if not cuts:
            found.append({"kind": "segment without bronchus", "labels": [label]})
        elif len(main) > 1:
            ids = [cut.branch for cut in main]
            found.append({"kind": "several bronchi", "labels": [label], "branches": ids})
    return found + _trunks(airway)


def _trunks(airway: NamedTree) -> list[dict[str, object]]:
    """Branches of one segment, or central ones, behind which two or three segments share a way."""
    found: list[dict[str, object]] = []
    for branch, service in zip(airway.tree.branches, airway.services, strict=True):
        fed = service.feeds
        last = (
            all(len(airway.services[child].feeds) < len(fed) for child in airway.tree.children()[branch.id])
            if 2 <= len(fed) <= 3
            else False
        )
        if last and branch.length_mm >= LEAST_MM:
            found.append({"kind": "shared trunk", "labels": list(fed), "branches": [branch.id]})
    return found
