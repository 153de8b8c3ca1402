"""The plan of a resection: numbers of a lesion, and the unions of segments that take it out, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from impulse_nnunet.errors import InputError
from impulse_nnunet.surgery.case_trees import VEIN, CaseTrees
from impulse_nnunet.surgery.cuts import find_cuts, kept_veins
from impulse_nnunet.surgery.lesion import (
    Lesion,
    between_mm,
    distance_mm,
    measure_lesion,
    plane_distances_mm,
    pleura_mm,
    volumes_ml,
)
from impulse_nnunet.surgery.resection import Resection, margin_of, order_of, unions


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What is asked of a plan.

    Args:
        resect: Plan this union only; empty for all that can be offered.
        margin_mm: Asked for besides the lesion's largest diameter; None asks for no other.
        complete_fissures: Lobes are parted from each other: borders between lobes are no cut planes.
    """

    resect: tuple[int, ...] = ()
    margin_mm: float | None = None
    complete_fissures: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one case.

    Args:
        lesion: The lesion.
        volumes_ml: Of each segment.
        lobes: Lobe -> its segments that occur.
        planes_mm: Distance from the lesion to the border of each pair of segments.
        pleura_mm: To the organ's outer surface; None without one.
        trees_mm: Tree -> distance to it; None for an empty one.
        segmental_mm: Tree -> segment -> distance to the branches that serve it.
        resections: Best first.
        notes: What limits the numbers.
    """

    lesion: Lesion
    volumes_ml: Mapping[int, float]
    lobes: Mapping[str, tuple[int, ...]]
    planes_mm: Mapping[tuple[int, int], float]
    pleura_mm: float | None
    trees_mm: Mapping[str, float | None]
    segmental_mm: Mapping[str, Mapping[int, float]]
    resections: tuple[Resection, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanCase:
    """What a plan is made from; all arrays (d, h, w) on one grid.

    Args:
        labels: Segments, 0 elsewhere.
        lesion: Anything but 0 is lesion.
        masks: Tree -> mask.
        trees: Their branches.
        to_world: 4 x 4, (d, h, w) indices to LPS.
        lobes: Lobe -> segments; empty if nothing tells.
        lesion_file: For messages.
    """

    labels: np.ndarray
    lesion: np.ndarray
    masks: Mapping[str, np.ndarray]
    trees: CaseTrees
    to_world: np.ndarray
    lobes: Mapping[str, tuple[int, ...]]
    lesion_file: str


def make_plan(case: PlanCase, settings: PlanSettings) -> Plan:
    """Plan a resection.

    Raises:
        InputError: No lesion in the segments, or a union of segments that do not occur.
    """
    lesion = measure_lesion(case.lesion, case.labels, case.to_world, case.lesion_file)
    volumes = volumes_ml(case.labels, case.to_world)
    planes = plane_distances_mm(lesion, case.lesion, case.labels, case.trees.borders)
    lobes = {lobe: tuple(label for label in parts if label in volumes) for lobe, parts in case.lobes.items()}
    lobes = {lobe: parts for lobe, parts in lobes.items() if parts}
    wanted = [_checked(settings.resect, volumes)] if settings.resect else unions(volumes, planes, lobes, lesion)
    resections = [_resection(union, case, settings, lesion, volumes, planes, lobes) for union in wanted]
    wall = pleura_mm(case.labels, list(case.masks.values()), case.to_world)
    return Plan(
        lesion=lesion,
        volumes_ml=volumes,
        lobes=lobes,
        planes_mm=planes,
        pleura_mm=between_mm(lesion.wall_mm, wall),
        trees_mm={
            name: distance_mm(lesion.wall_mm, mask, case.lesion, case.to_world) for name, mask in case.masks.items()
        },
        segmental_mm={name: _segmental(lesion, case.trees, name) for name in case.masks},
        resections=tuple(sorted(resections, key=order_of)),
        notes=_notes(case, lesion, settings),
    )


def _checked(union: Sequence[int], volumes: Mapping[int, float]) -> tuple[int, ...]:
    missing = [label for label in union if label not in volumes]
    if missing:
        found = f"label {missing[0]}, which has no voxel"
        raise InputError("`resect`", found, f"some of {', '.join(map(str, volumes))}", "correct it")
    return tuple(sorted(set(union)))


def _resection(
    union: tuple[int, ...],
    case: PlanCase,
    settings: PlanSettings,
    lesion: Lesion,
    volumes: Mapping[int, float],
    planes: Mapping[tuple[int, int], float],
    lobes: Mapping[str, tuple[int, ...]],
) -> Resection:
    lobe_of = {label: lobe for lobe, parts in lobes.items() for label in parts}
    whole, in_lobe = margin_of(union, lesion, planes), margin_of(union, lesion, planes, lobe_of)
    counted = in_lobe if settings.complete_fissures else whole
    taken = set(union)
    named = case.trees.trees
    asked = settings.margin_mm
    return Resection(
        labels=union,
        margin_mm=counted,
        margin_in_lobe_mm=in_lobe,
        holds_lesion=set(lesion.share_by_label) <= taken,
        sufficient_for_diameter=counted is None or counted >= lesion.largest_diameter_mm,
        sufficient_for_margin=None if asked is None else counted is None or counted >= asked,
        taken_ml=sum(volumes[label] for label in union),
        left_ml=sum(volume for label, volume in volumes.items() if label not in taken),
        cuts={name: find_cuts(tree, taken, case.labels, case.to_world) for name, tree in named.items()},
        veins_to_keep=kept_veins(named[VEIN], taken) if VEIN in named else (),
    )


def _segmental(lesion: Lesion, trees: CaseTrees, name: str) -> dict[int, float]:
    """Distance from the lesion to the branches of each segment: to their centre lines, less the radius there."""
    tree = trees.trees[name]
    found: dict[int, float] = {}
    if not tree.tree.branches:
        return found
    search = KDTree(lesion.wall_mm)
    for branch, service in zip(tree.tree.branches, tree.services, strict=True):
        if service.label:
            gap = float(np.maximum(search.query(branch.points_mm)[0] - branch.radii_mm, 0.0).min())
            found[service.label] = min(found.get(service.label, np.inf), gap)
    return dict(sorted(found.items()))


def _notes(case: PlanCase, lesion: Lesion, settings: PlanSettings) -> tuple[str, ...]:
    notes = []
    if lesion.outside_share > 0:
        notes.append(f"{100 * lesion.outside_share:.1f} % of the lesion lies in no segment; margins ignore that part")
    faces = [case.labels[index].any() for index in (0, -1)] + [case.labels[:, index].any() for index in (0, -1)]
    faces += [case.labels[:, :, index].any() for index in (0, -1)]
    if any(faces):
        notes.append(
            "segments reach the image's edge: the pleura there is not seen, and volumes are those in the image"
        )
    if not case.lobes:
        notes.append("no lobes are known: all segments count as one")
    if not settings.complete_fissures and case.lobes:
        notes.append("borders between lobes count as cut planes; margin_in_lobe_mm leaves them out")
    if settings.margin_mm is not None:
        notes.append("sufficient: at least the lesion's largest diameter and the margin that was asked for")
    if any(case.trees.trees[name].tree.branches for name in ("artery", "vein") if name in case.trees.trees):
        notes.append(
            "cut points of arteries and veins are unsure where vessels touch, as near the hilum: check each of them"
        )
    notes += [
        f"no branch was found in the {name} mask" for name, tree in case.trees.trees.items() if not tree.tree.branches
    ]
    return tuple(notes)
