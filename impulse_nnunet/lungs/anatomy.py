"""Names and numbers of what is labelled in the lungs: 18 segments, 5 lobes, and the three trees that lead into them."""

from __future__ import annotations

SEGMENTS = (
    *(f"right S{number}" for number in range(1, 11)),
    *(f"left {name}" for name in ("S1+2", "S3", "S4", "S5", "S6", "S7+8", "S9", "S10")),
)
LOBES: dict[str, tuple[int, ...]] = {
    "right upper lobe": (1, 2, 3),
    "right middle lobe": (4, 5),
    "right lower lobe": (6, 7, 8, 9, 10),
    "left upper lobe": (11, 12, 13, 14),
    "left lower lobe": (15, 16, 17, 18),
}
LOBE_CODES = dict(zip(LOBES, ("RUL", "RML", "RLL", "LUL", "LLL"), strict=True))
LOBE_OF_SEGMENT = (0, *(lobe for lobe, parts in enumerate(LOBES.values(), 1) for _ in parts))
BAV_LABELS = {"background": 0, "bronchus": 1, "artery": 2, "vein": 3}
BAV = tuple(name for name in BAV_LABELS if name != "background")
TREE_FOLDERS_OF_BAV = {"bronchus": "airway", "artery": "artery", "vein": "vein"}  # as Lung3D names the files


def segment_labels() -> dict[str, int]:
    """``labels`` of a dataset.json of the 18 segments."""
    return {"background": 0} | {name: number for number, name in enumerate(SEGMENTS, 1)}


def lobe_lists() -> dict[str, list[int]]:
    """``lobes`` of such a dataset.json: the segments of each lobe."""
    return {name: list(parts) for name, parts in LOBES.items()}
