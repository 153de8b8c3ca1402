"""One whole case: image, label maps and trees on the image's grid."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from impulse_nnunet.lungs.anatomy import LOBE_OF_SEGMENT
from impulse_nnunet.phantom import fields as f
from impulse_nnunet.phantom.anatomy import Anatomy, make_anatomy
from impulse_nnunet.phantom.ct import draw_scan, make_ct, subslices
from impulse_nnunet.phantom.grids import Grid, image_grid
from impulse_nnunet.phantom.randomness import stream
from impulse_nnunet.phantom.rasterise import capsules, labels_of_capsules, paint_distance, paint_labels
from impulse_nnunet.phantom.settings import DEFAULT_FIELD_MM, PhantomSettings
from impulse_nnunet.phantom.tree import Tree
from impulse_nnunet.phantom.voxels import join_pieces, neighbours_of, paint_segments, stray_places

CENTRAL, BETWEEN = 19, 20  # labels while painting; 0 in the files
THINNEST_SHARE = 0.45  # of a voxel's edge: thinner pieces (diameter) are not in the masks
THINNEST_MM = {"airway": 0.8, "artery": 0.45, "vein": 0.45}  # radius that a mask shows at best
WALL_MM = (0.25, 0.3, 1.4)  # of a bronchus: least, more per mm of its radius, most
GAP_MM = (4.0, 12.0)  # length of a gap in a disconnected tree


class Case(NamedTuple):
    """A synthetic case; arrays (d, h, w): head to foot, front to back, right to left.

    Args:
        image: int16, HU.
        labels: Name -> uint8: segments, lobes, airway, artery, vein, interseg (masks), airway_labels, artery_labels,
            vein_labels (1 to 18; 0 for central and intersegmental pieces).
        grid: Where the voxels lie.
        facts: What was drawn, for the record.
    """

    image: np.ndarray
    labels: dict[str, np.ndarray]
    grid: Grid
    facts: dict[str, Any]


def make_case(settings: PhantomSettings, case: int) -> Case:
    """Make a case, deterministic by the settings and the case's number, from 1."""
    anatomy = make_anatomy(settings, case)
    grid = choose_grid(anatomy, settings, case)
    labels = make_labels(anatomy, grid, settings, case)
    scan = draw_scan(anatomy.patient.contrast, settings.noise_hu, stream(settings.seed, case, "scan"))
    number = subslices(grid)
    fine = grid.with_subslices(number)
    trees = [
        paint_distance(capsules(tree, fine), fine, 0.5 * float(np.cbrt(fine.volume_mm3)))
        for tree in _scanned_trees(anatomy, grid)
    ]
    image = make_ct(anatomy.body, anatomy.grid, fine, trees, scan, number, stream(settings.seed, case, "noise"))
    facts = {
        "contrast": anatomy.patient.contrast,
        "anomaly": anatomy.patient.anomaly,
        "disconnected": anatomy.patient.disconnected,
        "size": list(grid.size),
        "spacing_mm": list(grid.spacing_mm),
        "noise_hu": scan.noise_hu,
        "body": anatomy.patient.body._asdict(),
    }
    return Case(image, labels, grid, facts)


def thinnest_mm(name: str, grid: Grid) -> float:
    """The radius from which a tree is shown on a grid, in its files and in the image."""
    return max(THINNEST_MM[name], THINNEST_SHARE * float(np.cbrt(grid.volume_mm3)) / 2)


def _scanned_trees(anatomy: Anatomy, grid: Grid) -> list[Tree]:
    """Bronchial lumen, bronchi with their walls, arteries and veins, as far as a scan shows them."""
    names = ("airway", "artery", "vein")
    airway, artery, vein = (getattr(anatomy, name).thicker_than(thinnest_mm(name, grid)) for name in names)
    walls_mm = np.clip(WALL_MM[0] + WALL_MM[1] * airway.radii_mm, 0.0, WALL_MM[2])
    return [airway, airway._replace(radii_mm=airway.radii_mm + walls_mm), artery, vein]


def choose_grid(anatomy: Anatomy, settings: PhantomSettings, case: int) -> Grid:
    """The image's grid, around the middle of the lungs, a little off."""
    rng = stream(settings.seed, case, "grid")
    places = anatomy.lung_grid.positions(np.argwhere(anatomy.lung_body[..., f.LUNG] > 0))
    low, high = places.min(0), places.max(0)
    fitted = np.maximum((high - low) * [1.08, 1.0, 1.0] + [8, 150, 70], np.array(DEFAULT_FIELD_MM) * [0.8, 0.9, 0.9])
    fitted[1:] = fitted[1:].max()  # voxels are square within a slice
    field = fitted * rng.uniform(1.0, 1.06, 3)[[0, 1, 1]]
    spacing = field / settings.size if settings.spacing_mm is None else np.array(settings.spacing_mm)
    size, draw = list(settings.size), rng.random()
    if settings.slice_spacing_mm is not None:
        thin, thick = settings.slice_spacing_mm
        spacing[0] = thin * (thick / thin) ** draw
        size[0] = max(16, math.ceil(field[0] / spacing[0]))
    spacing = np.round(np.asarray(spacing, np.float64), 4)
    room = np.maximum(0.0, size * spacing - (high - low) - 8) / 2
    centre = (low + high) / 2 + rng.uniform(-1, 1, 3) * np.minimum(room, [8.0, 6.0, 6.0]) + [0, 4, 0]
    z, y, x = (float(value) for value in centre)
    dz, dy, dx = (float(value) for value in spacing)
    return image_grid((z, y, x), (int(size[0]), int(size[1]), int(size[2])), (dz, dy, dx))


def make_labels(anatomy: Anatomy, grid: Grid, settings: PhantomSettings, case: int) -> dict[str, np.ndarray]:
    """All label maps of a case on a grid."""
    renamed = anatomy.patient.renamed.astype(np.uint8)
    segments = renamed[paint_segments(anatomy.lung_body, anatomy.membership, anatomy.lung_grid, grid)]
    painted = {name: _paint_tree(anatomy, name, grid, renamed) for name in ("airway", "artery", "vein")}
    join_pieces(segments)
    _give_way(painted["artery"], painted["airway"])
    for name in ("artery", "airway"):
        own = (painted[name] > 0) & (painted[name] < CENTRAL)
        segments[own] = painted[name][own]
    join_pieces(segments)
    for name in ("artery", "airway"):
        _give_way(painted[name], segments)
    labels = {"segments": segments, "lobes": np.asarray(LOBE_OF_SEGMENT, np.uint8)[segments]}
    for name, whole in painted.items():
        classes = np.where(whole < CENTRAL, whole, 0).astype(np.uint8)
        shown = whole
        if anatomy.patient.disconnected:
            shown = _paint_tree(anatomy, name, grid, renamed, stream(settings.seed, case, f"gaps {name}"))
            shown[whole == 0] = 0
            classes[shown == 0] = 0
        labels[name] = (shown > 0).astype(np.uint8)
        labels[f"{name}_labels"] = classes
    labels["interseg"] = ((painted["vein"] == BETWEEN) & (labels["vein"] > 0) & (segments > 0)).astype(np.uint8)
    return labels


def _give_way(tree: np.ndarray, other: np.ndarray) -> None:
    """Take a tree out of what is labelled with another segment, in place, as far as the tree stays in one piece."""
    inside = (tree > 0) & (tree < CENTRAL) & (other > 0) & (other < CENTRAL) & (tree != other)
    places = np.flatnonzero(inside)
    flat, held = tree.reshape(-1), tree.reshape(-1)[places].copy()
    flat[places] = 0
    while True:
        cut_off = stray_places((tree > 0).astype(np.uint8))
        bridge = (flat[places] == 0) & np.isin(places, neighbours_of(cut_off, tree.shape))
        if not bridge.any():
            return
        flat[places[bridge]] = held[bridge]


def _paint_tree(
    anatomy: Anatomy, name: str, grid: Grid, renamed: np.ndarray, gaps: np.random.Generator | None = None
) -> np.ndarray:
    """Labels of a tree's voxels: its segment, CENTRAL or BETWEEN; 0 outside."""
    tree: Tree = getattr(anatomy, name)
    numbers = np.where(tree.labels > 0, renamed[tree.labels], CENTRAL).astype(np.uint8)
    if name == "vein":
        numbers[anatomy.intersegmental] = BETWEEN
    keep = tree.radii_mm >= thinnest_mm(name, grid)
    if gaps is not None:
        keep &= ~_in_gaps(tree, keep, gaps)
    shown, numbers = tree.pieces(keep), numbers[keep]
    return paint_labels(capsules(shown, grid), numbers[labels_of_capsules(shown)], grid)


def _in_gaps(tree: Tree, shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which pieces lie in gaps around some places of a tree's middle generations."""
    middle = np.flatnonzero(shown & (tree.labels > 0) & (tree.radii_mm < 2.0))
    centres = rng.choice(middle, min(len(middle), int(rng.integers(3, 9))), replace=False)
    lost = np.zeros(len(tree.labels), bool)
    for centre in centres:
        gap = ((tree.points_mm - tree.points_mm[centre]) ** 2).sum(1)
        lost |= gap < (rng.uniform(*GAP_MM) / 2) ** 2
        lost[centre] = True
    return lost & (tree.radii_mm < 2.5)
