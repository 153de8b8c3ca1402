"""``impulse_nnunet merge``: the shards of an evaluation into one summary, and what is missing of a cohort."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impulse_nnunet.cli.dicom_flags import add_dicom_flags
from impulse_nnunet.errors import USER_ERROR, InputError

if TYPE_CHECKING:
    from impulse_nnunet.evaluation.parts import ShardResult

DESCRIPTION = """Join what `impulse_nnunet evaluate --shard` left in FOLDER/summary_parts into FOLDER/summary.json and
metrics.csv: the same files, to the byte, as one call without shards would write. Says which shards have not run and
which cases have no result, or one of files that have changed since; exit code 2 then. With -i, says first which images
have no labels in FOLDER. May be called at any time and again."""
EXAMPLES = """examples:
  impulse_nnunet merge PREDICTIONS
  impulse_nnunet merge scores -o scores/on_test.json     # after evaluate ... -o scores/on_test.json --shard I/N
  impulse_nnunet merge PREDICTIONS -i imagesTs           # after predict ... --shard I/N; no evaluation needed
"""
SHOWN = 10  # names of one kind; all of them stand in summary.json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("folder", metavar="FOLDER", help="where summary.json belongs: the folder of the predictions")
    parser.add_argument("-o", metavar="FILE", help="the -o of evaluate (default: FOLDER/summary.json)")
    parser.add_argument("-i", metavar="IMAGES", help="images that all should have labels in FOLDER")
    add_dicom_flags(parser)
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Check and merge."""
    from impulse_nnunet.evaluation.parts import parts_folder

    folder = Path(options.folder)
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "the folder of the predictions", "check the path")
    output = Path(options.o) if options.o else folder / "summary.json"
    whole = True
    if options.i:
        whole = _check_predictions(Path(options.i), folder, options.series)
        if not parts_folder(output).is_dir():
            return 0 if whole else USER_ERROR
    return 0 if _merge(output) and whole else USER_ERROR


def _check_predictions(images: Path, folder: Path, series: Sequence[str]) -> bool:
    from impulse_nnunet.io.dataset_json import channel_names, read_dataset_json
    from impulse_nnunet.io.input_cases import find_input_cases, not_read_of
    from impulse_nnunet.io.listing import cases_in

    content = read_dataset_json(folder / "dataset.json")
    ending = content.get("file_ending", ".nii.gz")
    others = not_read_of(images, ending)
    for one in others:
        _say(f"not read: {one}")
    first = channel_names(content)[:1]  # a model may take more than it is given: reconstruct makes the others
    cases, done = find_input_cases(images, ending, first, series).names, cases_in(folder, ending)
    missing = [case for case in cases if case not in done]
    if missing:
        _say(
            f"{len(missing)} of {len(cases)} image(s) without labels: {_first(missing)}",
            "run the same predict command again",
        )
    else:
        print(f"{len(cases)} image(s), each with labels in {folder}")
    return not missing and not any(one.is_patient for one in others)


def _merge(output: Path) -> bool:
    from impulse_nnunet.cli.evaluate import print_table
    from impulse_nnunet.evaluation.folder import match_files
    from impulse_nnunet.evaluation.parts import join, read_parts
    from impulse_nnunet.evaluation.summary import join_entries, write_summary

    parts = read_parts(output)
    question = parts[0].question
    trees = {name: Path(folder) for name, folder in question.trees.items()}
    cases, unmatched = match_files(
        Path(question.references), Path(question.predictions), trees, question.ending, question.chill
    )
    entries, failures, missing = join(parts, cases, unmatched)
    if failures:
        more = [f"... and {len(failures) - SHOWN} more"] if len(failures) > SHOWN else []
        _say("\n  ".join([f"{len(failures)} case(s) failed:", *list(failures.values())[:SHOWN], *more]))
    if missing:
        _say_what_is_missing(parts, missing, len(cases))
        failures |= {case: _no_result(case) for case in missing}
    if not entries:
        raise InputError(
            str(output), f"no result of {len(cases)} case(s)", "at least one", "run evaluate --shard I/N for each I"
        )
    summary = join_entries(entries, parts[0].record, failures)
    write_summary(summary, output)
    print_table(summary, output)
    return not failures


def _say_what_is_missing(parts: Sequence[ShardResult], missing: list[str], number: int) -> None:
    from impulse_nnunet.evaluation.parts import shards_not_run

    for count, absent in sorted(shards_not_run(parts).items()):
        if absent:
            _say(f"{len(absent)} of {count} shards not run: {_first([f'{i}/{count}' for i in absent])}")
    _say(
        f"{len(missing)} of {number} case(s) without a result of their files as they are now: {_first(missing)}",
        "run the same evaluate command again for these shards; then merge again",
    )


def _no_result(case: str) -> str:
    return str(
        InputError(case, "no result of its files as they are now", "one from a shard", "run evaluate --shard again")
    )


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _say(*parts: str) -> None:
    print("impulse_nnunet: " + "; ".join(parts), file=sys.stderr)
