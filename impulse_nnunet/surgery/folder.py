"""Branches and plans of the cases of a folder; a bad case stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.label_maps import read_label_map
from impulse_nnunet.io.listing import cases_in
from impulse_nnunet.io.same_grid import check_same_grid
from impulse_nnunet.jobs.pool import Failure, Work, outcomes
from impulse_nnunet.outputs.cases import Segments, read_segments
from impulse_nnunet.outputs.names import LabelNames
from impulse_nnunet.outputs.trees import read_trees
from impulse_nnunet.surgery.branch_files import branches_record, write_branches
from impulse_nnunet.surgery.case_trees import find_case_trees
from impulse_nnunet.surgery.lesion import volumes_ml
from impulse_nnunet.surgery.plan import PlanCase, PlanSettings, make_plan
from impulse_nnunet.surgery.plan_files import plan_record, write_plan
from impulse_nnunet.surgery.subsegments import LARGEST_DIVIDED, divide, write_subsegments
from impulse_nnunet.surgery.variants import find_variants

TREES = ("airway", "artery", "vein")


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is read for one case.

    Args:
        case: Identifier.
        segments: Label map.
        trees: Tree -> mask on its grid.
        names: Of the labels.
        labels: Segments that count; None takes all.
        output: Folder of what is written.
        lesion: Mask, for a plan.
        plan: What is asked of it.
        subsegments: Write them too, from the airway.
    """

    case: str
    segments: Path
    trees: Mapping[str, Path]
    names: LabelNames
    labels: tuple[int, ...] | None
    output: Path
    lesion: Path | None = None
    plan: PlanSettings | None = None
    subsegments: bool = False


def files_of(cases: Sequence[str], given: Path | None, setting: str) -> dict[str, Path]:
    """Case -> file, of a file for a single case or a folder of files with the cases' names.

    Args:
        cases: Identifiers.
        given: A file, a folder, or None.
        setting: What the user calls it, for messages.

    Raises:
        InputError: It is not there, or it is one file for several cases.
    """
    if given is None:
        return {}
    if given.is_dir():
        files = cases_in(given)
        return {case: files[case] for case in cases if case in files}
    if not given.is_file():
        raise InputError(f"`{setting}`", str(given), "a file, or a folder of files with the cases' names", "check it")
    if len(cases) != 1:
        raise InputError(f"`{setting}`", f"one file for {len(cases)} cases", "a folder", "give a folder of files")
    return {cases[0]: given}


def find_branches(item: Item) -> str:
    """Write the branches of a case; returns what was found, in a line."""
    segments, labels, masks = _read(item)
    to_world = segments.label_map.grid.to_world
    found = find_case_trees(masks, labels, to_world)
    if not any(tree.tree.branches for tree in found.trees.values()):
        names = ", ".join(masks)
        raise InputError(
            item.case, f"no branch in any tree ({names})", "at least one tree with voxels", "check the masks"
        )
    variants = find_variants(found.trees, labels, to_world, volumes_ml(labels, to_world), segments.absent)
    write_branches(branches_record(item.case, found, item.names, variants), found, item.output)
    if item.subsegments:
        if labels.max() > LARGEST_DIVIDED:
            expected = f"labels up to {LARGEST_DIVIDED} for subsegments"
            raise InputError(item.case, f"label {labels.max()}", expected, "leave `subsegments` out")
        divided = divide(found.trees["airway"], labels, to_world)
        write_subsegments(divided, segments.label_map, item.names, item.output)
    parts = [f"{len(tree.tree.branches)} of {name}" for name, tree in found.trees.items()]
    return f"{item.case}: branches {', '.join(parts)}; {len(variants)} remark(s) on the anatomy; {item.output}"


def plan_case(item: Item) -> str:
    """Write the plan of a case; returns the best resection, in a line."""
    if item.lesion is None or item.plan is None:
        raise InputError(item.case, "no lesion", "a mask of one", "give `lesion`")
    segments, labels, masks = _read(item)
    lesion = read_label_map(item.lesion)
    grid = segments.label_map.grid
    check_same_grid(lesion.grid, grid, str(item.lesion), str(item.segments))
    case = PlanCase(
        labels=labels,
        lesion=lesion.labels,
        masks=masks,
        trees=find_case_trees(masks, labels, grid.to_world),
        to_world=grid.to_world,
        lobes=item.names.lobes,
        lesion_file=str(item.lesion),
    )
    plan = make_plan(case, item.plan)
    write_plan(plan_record(item.case, plan, item.names), item.output)
    best = plan.resections[0]
    margin = "no plane to cut" if best.margin_mm is None else f"margin {best.margin_mm:.1f} mm"
    verdict = "sufficient" if best.sufficient else "NOT sufficient"
    names = " + ".join(item.names.name(label) for label in best.labels)
    return f"{item.case}: {names}: {margin} ({verdict}), {best.taken_ml:.1f} ml; {item.output}"


def run_cases(
    items: Sequence[Item], work: Callable[[Item], str], processes: int = 1, progress: bool = True
) -> tuple[list[str], dict[str, str]]:
    """Do all cases; what each says, in order, and case -> why it failed."""
    said: dict[str, str] = {}
    failures: dict[str, str] = {}
    bar = tqdm(total=len(items), unit="case", disable=not progress or len(items) < 2)
    for item, outcome in outcomes(Work(function=work, case=_case_of, result="a result"), items, processes):
        if isinstance(outcome, Failure):
            failures[item.case] = outcome.reason
        else:
            said[item.case] = outcome
        bar.update()
    bar.close()
    return [said[item.case] for item in items if item.case in said], failures


def _case_of(item: Item) -> str:
    return item.case


def _read(item: Item) -> tuple[Segments, np.ndarray, dict[str, np.ndarray]]:
    segments = read_segments(item.segments, item.names, item.labels)
    labels = segments.label_map.labels
    dropped = [label for label in np.unique(labels) if label and label not in segments.labels]
    if dropped:
        labels = np.where(np.isin(labels, dropped), 0, labels).astype(labels.dtype)
    return segments, labels, read_trees(item.trees, segments.label_map)
