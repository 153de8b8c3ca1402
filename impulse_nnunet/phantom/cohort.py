"""A whole cohort: cases that are there are kept, the others are made, each file and each case all or nothing."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.process_guard import end_with_parent
from impulse_nnunet.phantom.case import make_case
from impulse_nnunet.phantom.compiled import use_threads
from impulse_nnunet.phantom.layout import FIRST_TEST_NUMBER, OWN_FOLDERS, Layout, write_case, write_descriptions
from impulse_nnunet.phantom.properties import measure_case
from impulse_nnunet.phantom.settings import PhantomSettings

COHORT_FILE = "phantom.json"
logger = logging.getLogger(__name__)


def make_cohort(
    layout: Layout,
    settings: PhantomSettings,
    training: int,
    test: int,
    processes: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> list[int]:
    """Make the cases that are not there yet.

    Args:
        layout: Where.
        settings: Settings of the cohort; a folder made with other settings is refused.
        training: Cases for training.
        test: Further cases for testing.
        processes: At a time.
        overwrite: Start over.
        progress: Show a bar.

    Returns:
        The numbers of the cases that were made now.
    """
    _check_numbers(training, test, processes)
    claim_folders(layout, settings, overwrite)
    numbers = [*range(1, training + 1), *range(FIRST_TEST_NUMBER, FIRST_TEST_NUMBER + test)]
    missing = [number for number in numbers if not is_whole(number, layout, settings)]
    if len(missing) < len(numbers):
        logger.info("%d of %d cases are there already", len(numbers) - len(missing), len(numbers))
    made = _made(missing, layout, settings, processes)
    for _ in tqdm(made, total=len(missing), desc="phantoms", disable=not progress or not missing):
        pass
    write_descriptions(layout)
    return missing


def _check_numbers(training: int, test: int, processes: int) -> None:
    if not 1 <= training < FIRST_TEST_NUMBER:
        raise InputError("`training`", str(training), f"1 to {FIRST_TEST_NUMBER - 1} training cases", "correct it")
    if not 0 <= test < 10000:
        raise InputError("`test`", str(test), "0 to 9999 test cases", "correct it")
    if processes < 1:
        raise InputError("`processes`", str(processes), "1 or more processes", "correct it")


def claim_folders(layout: Layout, settings: PhantomSettings, overwrite: bool) -> None:
    """Make the folders ours; refuse those that hold anything else, clear a cohort's if that is asked for."""
    wanted = settings.as_record()
    for folder in (layout.segments, layout.bav):
        found = _cohort_in(folder)
        if found is not None and (found != wanted or overwrite):
            if not overwrite:
                differing = ", ".join(sorted(key for key in wanted if found.get(key) != wanted[key])) or "others"
                raise InputError(
                    str(folder),
                    f"a cohort of other settings ({differing})",
                    "a new folder or the same settings",
                    "give the same settings, another `dataset`, or `overwrite`",
                )
            for name in OWN_FOLDERS:
                shutil.rmtree(folder / name, ignore_errors=True)
        write_json(wanted, folder / COHORT_FILE)


def _cohort_in(folder: Path) -> dict[str, Any] | None:
    """The settings of the cohort in a folder; None for a folder that is empty or not there."""
    if not folder.exists() or not any(folder.iterdir()):
        return None
    try:
        found = json.loads((folder / COHORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            str(folder), "files that no phantom cohort wrote", "an empty folder or a cohort", "choose another `dataset`"
        ) from error
    return found if isinstance(found, dict) else {}


def is_whole(number: int, layout: Layout, settings: PhantomSettings) -> bool:
    """Whether a case is there, of these settings, with all its files."""
    record = read_record(number, layout)
    same = record is not None and record.get("settings") == settings.as_record()
    return same and all(path.is_file() for path in layout.all_files(number))


def read_record(number: int, layout: Layout) -> dict[str, Any] | None:
    """Settings, facts and properties of a case; None if it is not whole."""
    try:
        record = json.loads(layout.record(number).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_one(number: int, layout: Layout, settings: PhantomSettings) -> int:
    """Make, measure and write one case; its record comes last."""
    layout.record(number).unlink(missing_ok=True)
    case = make_case(settings, number)
    write_case(case, number, layout)
    properties = measure_case(case.image, case.labels, case.grid.spacing_mm)
    record = {"settings": settings.as_record(), "facts": case.facts, "properties": properties}
    write_json(record, layout.record(number))
    return number


def _start_worker(parent: int, threads: int) -> None:
    end_with_parent(parent)
    use_threads(threads)


def _made(numbers: Sequence[int], layout: Layout, settings: PhantomSettings, processes: int) -> Iterator[int]:
    """Make cases, here or in processes of their own; yields each number when it is done."""
    if processes == 1 or len(numbers) < 2:
        for number in numbers:
            yield write_one(number, layout, settings)
        return
    processes = min(processes, len(numbers))
    threads = max(1, (os.cpu_count() or 1) // processes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_start_worker, initargs=(os.getpid(), threads)
    ) as pool:
        tasks = [pool.submit(write_one, number, layout, settings) for number in numbers]
        try:
            for task in as_completed(tasks):
                yield task.result()
        except BrokenProcessPool as error:
            raise InputError(
                "`processes`",
                f"{processes} processes, one of which was ended",
                "enough memory for all of them",
                "give fewer; cases that are done are kept",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
