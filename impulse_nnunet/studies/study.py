"""A table of the paper on any data set: train what is missing, predict, score, write the table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.io.built_inputs import find_inputs, kind_of_inputs
from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.process import CommandError
from impulse_nnunet.runtime.signals import stoppable
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.preparation import prepare, prepare_stock, resolve_dataset
from impulse_nnunet.studies.results import write_results
from impulse_nnunet.studies.rows import PLUS, StudyRow, TablePlan, table
from impulse_nnunet.studies.runs import Place, Run, Say
from impulse_nnunet.studies.scoring import EvaluationCases
from impulse_nnunet.studies.variants import plans_file, variant

STUDY = "study.json"


class RunsFailedError(Exception):
    """Some runs failed; the others were done and stand in the table.

    Args:
        failures: Title of the run -> reason.
    """

    def __init__(self, failures: dict[str, str], number: int) -> None:
        self.failures, self.number = failures, number
        super().__init__(failures, number)

    def __str__(self) -> str:
        lines = [f"{len(self.failures)} of {self.number} runs failed; the table has the others:"]
        return "\n".join([*lines, *(f"  {title}: {reason}" for title, reason in self.failures.items())])


@dataclass(frozen=True)
class Study:
    """What a call makes.

    Args:
        table: With the rows that are asked for.
        runs: All systems with the first seed, then with the second, ...
        datasets: Names of the data sets.
    """

    table: TablePlan
    runs: tuple[Run, ...]
    datasets: tuple[str, ...]


def make_table(options: StudyOptions, say: Say) -> list[Path]:
    """Make a table; returns the files.

    Args:
        options: What is asked for.
        say: Takes one line a step.

    Raises:
        InputError: For what a user can fix, before anything is trained.
        RunsFailedError: After everything else is done.
        StopRequestedError: This process was asked to stop; the same call goes on.
    """
    chosen = chosen_table(options)
    _prepare(chosen, options, say)
    study = plan_study(chosen, options)
    _claim(study, options)
    paths: list[Path] = []
    failures: dict[str, str] = {}
    with stoppable():
        for number, run in enumerate(study.runs, 1):
            here = f"[{number}/{len(study.runs)}] "
            try:
                run.do(lambda line, here=here: say(here + line))  # type: ignore[misc]
            except (CommandError, InputError, CasesFailedError, OSError) as error:
                failures[run.title] = " ".join(str(error).split())
                say(f"{here}{run.title}: failed: {failures[run.title]}")
            last_of_seed = number == len(study.runs) or study.runs[number].seed != run.seed
            if last_of_seed:
                paths = write_results(study.table, study.runs, failures, options)
    if failures:
        raise RunsFailedError(failures, len(study.runs))
    return paths


def describe_plan(options: StudyOptions) -> list[str]:
    """What :func:`make_table` would do, one line each; nothing is written."""
    chosen = chosen_table(options)
    lines = [f"{chosen.title}; {options.output}"]
    missing = [name for name in _datasets(chosen, options) if not plans_file(name, options.plans).is_file()]
    if missing:
        rows = ", ".join(row.name for row in chosen.rows)
        lines += [f"{name}: plan and preprocess" for name in missing]
        return [*lines, f"then, for seeds 0 to {options.seeds - 1}: {rows}"]
    stock = any(row.stock and row.key not in options.models for row in chosen.rows)
    if stock and not plans_file(resolve_dataset(options.dataset), options.stock_plans).is_file():
        lines.append(f"{resolve_dataset(options.dataset)}: plan and preprocess by stock nnU-Net")
        chosen = TablePlan(
            key=chosen.key,
            title=chosen.title,
            reference=chosen.reference,
            rows=tuple(r for r in chosen.rows if not r.stock),
        )
    study = plan_study(chosen, options)
    for run in study.runs:
        name = run.variant.name if run.variant is not None else run.model_folder.name
        lines.append(f"{run.title}: {run.state()}; {name}")
    return lines


def chosen_table(options: StudyOptions) -> TablePlan:
    """The table with the rows that are asked for.

    Raises:
        InputError: An unknown row, no row, or data sets of other inputs that are missing.
    """
    inputs = dict(options.inputs)
    if options.table in ("4", "5") and not inputs:
        inputs = _known_inputs(options)
    needed = {"4": "two or more", "5": "lbav"}.get(options.table)
    if (options.table == "4" and len(inputs) < 2) or (options.table == "5" and "lbav" not in inputs):
        raise InputError(
            f"`table` {options.table}",
            f"inputs {', '.join(inputs) or 'none'} of data set {options.dataset}",
            str(needed),
            "build them with impulse_nnunet build_inputs, or name them: `inputs` lbav=804",
        )
    full = table(options.table, inputs, options.shares)
    known = {row.key for row in full.rows}
    unknown = [key for key in options.rows if key not in known]
    if unknown:
        raise InputError("`rows`", unknown[0], f"some of {', '.join(row.key for row in full.rows)}", "correct it")
    rows = [row for row in full.rows if not options.rows or row.key in options.rows]
    rows += [StudyRow(key=name, name=name, dataset=None) for name in options.models if name not in known]
    reference = full.reference if any(row.key == full.reference for row in rows) else rows[0].key
    return TablePlan(key=full.key, title=full.title, reference=reference, rows=tuple(rows))


def _known_inputs(options: StudyOptions) -> dict[str, int]:
    name = resolve_dataset(options.dataset)
    inputs = find_inputs(name)
    own = kind_of_inputs(Path(os.environ["nnUNet_raw"], name))
    if own is not None:
        inputs.setdefault(own, options.dataset)
    if options.table == "5":
        inputs.setdefault("lbav", inputs.get("lbav_truth", 0))
        inputs = {"lbav": inputs["lbav"]} if inputs["lbav"] else {}
    return inputs


def plan_study(chosen: TablePlan, options: StudyOptions) -> Study:
    """All runs of a table; plans must be there."""
    places = {name: _place(name, options) for name in _datasets(chosen, options)}
    runs = [
        run
        for seed in range(options.seeds)
        for row in chosen.rows
        if (run := _run(row, seed, places[_dataset(row, options)], options)) is not None
    ]
    return Study(chosen, tuple(runs), tuple(places))


def _run(row: StudyRow, seed: int, place: Place, options: StudyOptions) -> Run | None:
    """A run; None where a row has fewer runs than there are seeds."""
    dataset = place.raw.name
    if row.key in options.models:
        folders = options.models[row.key]
        if seed >= len(folders):
            return None
        return Run(
            row=row,
            seed=seed,
            place=place,
            variant=None,
            model_folder=folders[seed],
            work=options.output / "models" / f"{row.key}_{seed}",
        )
    if not row.trains:  # the template of the first run of ImPulSe+
        if seed > 0:
            return None
        if PLUS.key in options.models:
            folder, work = options.models[PLUS.key][0], options.output / "models" / f"{row.key}_{seed}"
        else:
            folder = variant(PLUS, seed, dataset, options).model_folder
            work = folder / f"fold_{options.fold}" / "template_alone"
        return Run(row=row, seed=seed, place=place, variant=None, model_folder=folder, work=work)
    wanted = variant(row, seed, dataset, options)
    work = wanted.model_folder / f"study_fold_{options.fold}"
    return Run(row=row, seed=seed, place=place, variant=wanted, model_folder=wanted.model_folder, work=work)


def _dataset(row: StudyRow, options: StudyOptions) -> str:
    return resolve_dataset(row.dataset if row.dataset is not None else options.dataset)


def _datasets(chosen: TablePlan, options: StudyOptions) -> list[str]:
    return list(dict.fromkeys(_dataset(row, options) for row in chosen.rows))


def _place(name: str, options: StudyOptions) -> Place:
    raw = Path(os.environ["nnUNet_raw"], name)
    test = EvaluationCases.of(raw, options.fold)
    return Place(
        raw=raw,
        test=test,
        fold=options.fold,
        device=options.device,
        processes=options.processes,
        metrics=options.metrics,
    )


def _prepare(chosen: TablePlan, options: StudyOptions, say: Say) -> None:
    for name in _datasets(chosen, options):
        prepare(name, options, say)
    if any(row.stock and row.key not in options.models for row in chosen.rows):
        try:
            prepare_stock(resolve_dataset(options.dataset), options, say)
        except CommandError as error:
            raise InputError("stock nnU-Net", str(error), "its plans", "look into the log") from error


def _claim(study: Study, options: StudyOptions) -> None:
    """Refuse to train over what this command did not make; note what the table is made of."""
    if options.overwrite:
        for run in study.runs:
            run.start_over()
    foreign = next((place for run in study.runs if (place := run.foreign_result()) is not None), None)
    if foreign is not None:
        raise InputError(
            str(foreign),
            "a training that this command did not make",
            "none",
            "use it by `models`, move it away, or give `overwrite` to set it aside",
        )
    runs = [
        {
            "row": run.row.key,
            "seed": run.seed,
            "model": str(run.model_folder),
            "fold": run.place.fold,
            "summary": str(run.summary),
            "predictions": str(run.predictions),
        }
        for run in study.runs
    ]
    content = {
        "table": study.table.key,
        "datasets": list(study.datasets),
        "reference": study.table.reference,
        "rows": {row.key: row.name for row in study.table.rows},
        "runs": runs,
    }
    write_json(content, options.output / f"table_{study.table.key}" / STUDY)


def read_study(folder: Path) -> dict[str, Any]:
    """What a table's folder says of its runs.

    Raises:
        InputError: It holds no table.
    """
    path = folder / STUDY
    if not path.is_file():
        raise InputError(str(folder), f"no {STUDY}", "the folder of a table", "run impulse_nnunet table first")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def read_runs(folder: Path, keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """First finished run of each row of a table's folder: key -> paths, and the row's name.

    Raises:
        InputError: The folder holds no table, or not these rows.
    """
    content, found = read_study(folder), {}
    for run in content["runs"]:
        if run["row"] in keys and run["row"] not in found and Path(run["summary"]).is_file():
            found[run["row"]] = run | {"name": content["rows"][run["row"]]}
    missing = [key for key in keys if key not in found]
    if missing:
        raise InputError(
            str(folder), f"no finished run of row {missing[0]}", "one", "run impulse_nnunet table with that row"
        )
    return found
