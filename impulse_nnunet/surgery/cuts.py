"""The cut list of a resection: where trees enter the territory that is taken, and which veins must stay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from impulse_nnunet.surgery.faces import values_at
from impulse_nnunet.surgery.graph import Branch, BranchTree
from impulse_nnunet.surgery.territory import Service, point_lengths_mm
from impulse_nnunet.surgery.veins import Course

LEAST_MM = 5.0  # of a branch and what is behind it: shorter ones are no cut, and no reason to keep a branch
FOREIGN_SHARE = 0.05  # of its length that a branch may serve elsewhere and still be cut
POINTS = 5  # over which the diameter at a cut is taken


@dataclass(frozen=True, kw_only=True)
class NamedTree:
    """A tree with what is known of its branches.

    Args:
        tree: The branches.
        services: What each serves.
        courses: How each runs, for veins; else empty.
    """

    tree: BranchTree
    services: tuple[Service, ...]
    courses: tuple[Course, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a branch is cut.

    Args:
        branch: Its number.
        position_mm: LPS.
        diameter_mm: There.
        label: The segment that it serves.
    """

    branch: int
    position_mm: tuple[float, float, float]
    diameter_mm: float
    label: int


@dataclass(frozen=True, kw_only=True)
class KeptVein:
    """An intersegmental vein on the cut plane, which drains what stays.

    Args:
        branches: Numbers of its parts.
        between: The segment that is taken, and the one that stays.
        length_mm: On this plane.
        mean_diameter_mm: Of its parts, weighted by length.
        position_mm: The middle of its longest part, LPS.
    """

    branches: tuple[int, ...]
    between: tuple[int, int]
    length_mm: float
    mean_diameter_mm: float
    position_mm: tuple[float, float, float]


def find_cuts(named: NamedTree, taken: Collection[int], labels: np.ndarray, to_world: np.ndarray) -> tuple[Cut, ...]:
    """Where a tree must be cut to take some segments: once on each way in, behind the last branch that must stay.

    Args:
        named: The tree.
        taken: Segments.
        labels: (d, h, w) segments, 0 elsewhere.
        to_world: 4 x 4, (d, h, w) indices to LPS.
    """
    tree = named.tree
    goes, behind = _goes(named, taken)
    children = tree.children()
    found, done = [], set()
    for branch in tree.branches:
        parent = branch.parent
        if not goes[branch.id] or (parent >= 0 and goes[parent]) or behind[branch.id] < LEAST_MM or parent in done:
            continue
        trunk = tree.branches[parent] if parent >= 0 else None
        if trunk is not None and not named.services[parent].label and all(goes[child] for child in children[parent]):
            entry = _entry(trunk, taken, labels, to_world)
            if entry < len(trunk.points_mm) - 1:  # the trunk divides inside the territory: one cut for all
                done.add(parent)
                found.append(_cut(trunk, entry, named.services[branch.id].label))
                continue
        entry = _entry(branch, taken, labels, to_world)
        found.append(_cut(branch, min(entry, len(branch.points_mm) - 1), named.services[branch.id].label))
    return _without_twins(found, tree)


def _without_twins(cuts: Sequence[Cut], tree: BranchTree) -> tuple[Cut, ...]:
    """Branches of one segment that leave a trunk at one place have a stem inside its tube: one cut, the widest."""
    best: dict[tuple[int, int], Cut] = {}
    for cut in cuts:
        parent = tree.branches[cut.branch].parent
        key = (parent, cut.label) if parent >= 0 else (-1 - cut.branch, cut.label)
        if key not in best or cut.diameter_mm > best[key].diameter_mm:
            best[key] = cut
    return tuple(best.values())


def kept_veins(named: NamedTree, taken: Collection[int]) -> tuple[KeptVein, ...]:
    """Intersegmental veins between what is taken and what stays, longest first; following parts are one."""
    group: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    for branch, course in zip(named.tree.branches, named.courses, strict=True):
        if not _on_plane(course, taken):
            continue
        first = group.get(branch.parent, branch.id)
        if first != branch.id and named.courses[first].between != course.between:
            first = branch.id
        group[branch.id] = first
        members.setdefault(first, []).append(branch.id)
    kept = [_kept(named, parts, taken) for parts in members.values()]
    return tuple(sorted((vein for vein in kept if vein.length_mm >= LEAST_MM), key=lambda vein: -vein.length_mm))


def _on_plane(course: Course, taken: Collection[int]) -> bool:
    return course.between is not None and (course.between[0] in taken) != (course.between[1] in taken)


def _goes(named: NamedTree, taken: Collection[int]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each branch goes with the territory, and the length of it and all behind it, mm."""
    branches = named.tree.branches
    lengths = np.array([branch.length_mm for branch in branches])
    inner = np.array([service.label in taken for service in named.services], bool)
    foreign = np.array([service.label not in taken and service.label > 0 for service in named.services], bool)
    for number, course in enumerate(named.courses):
        if course.between is not None:
            inner[number] = course.between[0] in taken and course.between[1] in taken
            foreign[number] = not inner[number]
    behind, elsewhere = lengths.copy(), np.where(foreign, lengths, 0.0)
    for branch in reversed(branches):
        if branch.parent >= 0:
            behind[branch.parent] += behind[branch.id]
            elsewhere[branch.parent] += elsewhere[branch.id]
    return inner & (elsewhere <= np.maximum(LEAST_MM, FOREIGN_SHARE * behind)), behind


def _entry(branch: Branch, taken: Collection[int], labels: np.ndarray, to_world: np.ndarray) -> int:
    """The point of a branch from which on it lies in the territory; one past the last if it never does.

    Where it goes in and out, the point that leaves least of its length on the wrong side.
    """
    inside = np.isin(values_at(labels, branch.points_mm, to_world), list(taken))
    weights = np.maximum(point_lengths_mm(branch), 1e-6)
    before = np.concatenate([[0.0], np.cumsum(weights * inside)])
    after = np.concatenate([np.cumsum((weights * ~inside)[::-1])[::-1], [0.0]])
    return int((before + after).argmin())


def _cut(branch: Branch, entry: int, label: int) -> Cut:
    x, y, z = branch.points_mm[entry].tolist()
    diameter = 2 * float(np.mean(branch.radii_mm[entry : entry + POINTS]))
    return Cut(branch=branch.id, position_mm=(x, y, z), diameter_mm=diameter, label=label)


def _kept(named: NamedTree, parts: Sequence[int], taken: Collection[int]) -> KeptVein:
    branches = [named.tree.branches[part] for part in parts]
    lengths = np.array([branch.length_mm for branch in branches])
    longest = branches[int(lengths.argmax())].points_mm
    x, y, z = longest[len(longest) // 2].tolist()
    a, b = named.courses[parts[0]].between or (0, 0)
    diameters = np.array([branch.mean_diameter_mm for branch in branches])
    return KeptVein(
        branches=tuple(parts),
        between=(a, b) if a in taken else (b, a),
        length_mm=float(lengths.sum()),
        mean_diameter_mm=float(np.average(diameters, weights=np.maximum(lengths, 1e-6))),
        position_mm=(x, y, z),
    )
