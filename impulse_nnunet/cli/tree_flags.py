"""The flags of commands that read segments with trees, the same in each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.cli.segment_flags import chosen_cases
from impulse_nnunet.errors import CasesFailedError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from impulse_nnunet.surgery.folder import Item
    from impulse_nnunet.surgery.plan import PlanSettings

TREE_HELP = {"airway": "bronchi", "artery": "arteries", "vein": "veins"}


def add_tree_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the trees and where results go."""
    for name, text in TREE_HELP.items():
        parser.add_argument(
            f"--{name}", metavar="FILE|FOLDER", help=f"mask of the {text} on the segments' grid; of a folder CASE.*"
        )
    parser.add_argument(
        "-o", required=True, metavar="FOLDER", help="for one label map its results, for a folder a folder for each case"
    )


def items_of(
    options: argparse.Namespace, lesions: Path | None = None, plan: PlanSettings | None = None
) -> tuple[list[Item], dict[str, str]]:
    """The cases of this call, and case -> reason for those that lack a file."""
    from impulse_nnunet.surgery.folder import Item, files_of

    cases, names = chosen_cases(options)
    labels = None if options.labels is None else names.chosen(options.labels)
    given = {name: Path(getattr(options, name)) for name in TREE_HELP if getattr(options, name)}
    files = {name: files_of(list(cases), path, name) for name, path in given.items()}
    masks = files_of(list(cases), lesions, "lesion")
    output, single = Path(options.o), Path(options.segments).is_file()
    items, failures = [], {}
    for case, path in cases.items():
        missing = [name for name in given if case not in files[name]]
        missing += ["lesion"] if lesions is not None and case not in masks else []
        if missing:
            reason = InputError(case, f"no {missing[0]} file", "one for each case", "add it, or leave the case out")
            failures[case] = str(reason)
            continue
        trees = {name: files[name][case] for name in given}
        folder = output if single else output / case
        items.append(
            Item(
                case=case,
                segments=path,
                trees=trees,
                names=names,
                labels=labels,
                output=folder,
                lesion=masks.get(case),
                plan=plan,
                subsegments=getattr(options, "subsegments", False),
            )
        )
    return items, failures


def do_cases(
    options: argparse.Namespace, items: list[Item], failures: dict[str, str], work: Callable[[Item], str]
) -> int:
    """Do the cases, print a line for each, and report those that failed."""
    from impulse_nnunet.jobs.pool import default_processes
    from impulse_nnunet.surgery.folder import run_cases

    processes = default_processes() if options.np is None else options.np
    said, failed = run_cases(items, work, processes, not options.disable_progress_bar)
    for line in said:
        print(line)
    failures = dict(sorted((failures | failed).items()))
    if failures:
        raise CasesFailedError(failures, len(items) + len(failures.keys() - failed.keys()))
    return 0
