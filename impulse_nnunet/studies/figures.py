"""The paper's figures 6 to 10 from the runs of a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.figures import Panels, curve_figure, panel_figure, write_figure
from impulse_nnunet.evaluation.report.loading import NoPictureError, load_case
from impulse_nnunet.evaluation.report.scenes import NoViewsError
from impulse_nnunet.evaluation.report.summaries import CaseResult
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.io.dataset_json import channel_names, read_dataset_json
from impulse_nnunet.io.label_scheme import label_scheme
from impulse_nnunet.jobs.process import CommandError, run_command
from impulse_nnunet.outputs.colours import LabelStyle, label_style
from impulse_nnunet.studies.rows import MAIN, PARTS, PLUS
from impulse_nnunet.studies.runs import PREDICT_STAGES
from impulse_nnunet.studies.scoring import EvaluationCases
from impulse_nnunet.studies.stages import STAGES
from impulse_nnunet.studies.study import STUDY, read_runs, read_study

FIGURES = ("6", "7", "8", "9", "10")
TABLES_OF = {"6": ("1", "2", "3"), "7": ("2", "1"), "8": ("1",), "9": ("1",), "10": ("fig10",)}
STAGE_TITLES = {"template": "template", "deformed": "after deformation", "corrected": "after correction"}
PLANE, VIEW = "coronal", "front"


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """A figure of a data set.

    Args:
        number: Of :data:`FIGURES`.
        raw: Raw data set.
        study: Folder that ``impulse_nnunet table`` wrote (its -o).
        output: Folder of the pictures.
        case: Identifier; the case of median Dice of ImPulSe+ if None.
        rows: Keys of the systems to show in figures 8 and 9; all that are finished if empty.
        fold: That the models were trained on.
        device: For figure 6.
    """

    number: str
    raw: Path
    study: Path
    output: Path
    case: str | None = None
    rows: tuple[str, ...] = ()
    fold: int | str = 0
    device: str = "cpu"


def make_figure(options: FigureOptions) -> list[Path]:
    """Draw a figure; returns its PNG and SVG.

    Raises:
        InputError: The table it is drawn from is missing, or the case is not in it.
    """
    folder = _table_folder(options)
    if options.number == "10":
        shares, curves = read_curves(folder / "table_fig10.csv")
        return write_figure(curve_figure(shares, curves), options.output, "figure_10")
    if options.number == "6":
        files, case = _stage_files(folder, options)
        panels = Panels(planes=(PLANE,), views=(VIEW,))
    else:
        files, case = _system_files(folder, options)
        planes = (PLANE,) if options.number in ("7", "8") else ()
        planes = (*planes, "axial") if options.number == "8" else planes
        views = (VIEW,) if options.number in ("7", "9") else ()
        panels = Panels(planes, (*views, "back") if options.number == "9" else views, errors=True)
    volumes, style = _volumes(files, case, options)
    try:
        figure = panel_figure(volumes, style, panels)
    except NoViewsError as error:
        raise InputError(
            "three-dimensional views", str(error), "a machine that can draw off-screen", "see docs/studies.md"
        ) from error
    return write_figure(figure, options.output, f"figure_{options.number}_{case}")


def read_curves(path: Path) -> tuple[list[float], dict[str, list[tuple[float, float, float]]]]:
    """Values of 1 - gamma, and metric -> (mean, lower end, upper end) at each, from the CSV of ``fig10``.

    Raises:
        InputError: There is no such file, or fewer than two shares are done.
    """
    if not path.is_file():
        raise InputError(
            str(path), "no such file", "the table fig10", "run impulse_nnunet table with `table` fig10 first"
        )
    found: dict[str, dict[float, tuple[float, float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["mean"]:
                share = float(row["system"].rsplit("=", 1)[1])
                low, high = (float(row[name] or row["mean"]) for name in ("ci_low", "ci_high"))
                found.setdefault(row["metric"], {})[share] = (float(row["mean"]), low, high)
    shares = sorted(set.intersection(*(set(points) for points in found.values()))) if found else []
    if len(shares) < 2:
        raise InputError(str(path), f"{len(shares)} finished value(s) of 1 - gamma", "two or more", "finish the table")
    return shares, {metric: [points[share] for share in shares] for metric, points in found.items()}


def _table_folder(options: FigureOptions) -> Path:
    for key in TABLES_OF[options.number]:
        folder = options.study / f"table_{key}"
        if (folder / STUDY).is_file():
            return folder
    wanted = " or ".join(TABLES_OF[options.number])
    raise InputError(
        str(options.study),
        f"no table {wanted}",
        f"what figure {options.number} is drawn from",
        f"run impulse_nnunet table with `table` {TABLES_OF[options.number][0]} and `output` {options.study} first",
    )


def _system_files(folder: Path, options: FigureOptions) -> tuple[dict[str, Path], str]:
    """Name of each system -> its label map of the case."""
    if options.number == "7":
        keys: Sequence[str] = ("impulse", PLUS.key)
    else:
        content = read_study(folder)
        order = [row.key for row in (*MAIN, *PARTS)]
        done = {run["row"] for run in content["runs"] if Path(run["summary"]).is_file()}
        done -= {"template"}
        keys = options.rows or sorted(done, key=lambda key: (order.index(key) if key in order else len(order), key))
    runs = read_runs(folder, keys)
    ending = read_dataset_json(options.raw / "dataset.json")["file_ending"]
    case = options.case or _median_case(Path(runs[PLUS.key if PLUS.key in runs else keys[0]]["summary"]))
    names: dict[str, str] = {"impulse": "without template", PLUS.key: "with template"} if options.number == "7" else {}
    files = {names.get(key, runs[key]["name"]): Path(runs[key]["predictions"]) / f"{case}{ending}" for key in keys}
    return files, case


def _stage_files(folder: Path, options: FigureOptions) -> tuple[dict[str, Path], str]:
    """Title of each stage -> its label map, decoded now."""
    run = read_runs(folder, [PLUS.key])[PLUS.key]
    case = options.case or _median_case(Path(run["summary"]))
    test = EvaluationCases.of(options.raw, options.fold)
    ending = read_dataset_json(options.raw / "dataset.json")["file_ending"]
    targets = {stage: options.output / "stages" / stage for stage in STAGES}
    for target in targets.values():
        (target / f"{case}{ending}").unlink(missing_ok=True)
    arguments = [
        "--stage", *targets, "-o", *(str(target) for target in targets.values()), "-i", str(test.images),
        "-m", run["model"], "-f", str(run["fold"]), "-device", options.device, "--cases", case,
    ]  # fmt: skip
    try:
        run_command(
            [PREDICT_STAGES, *arguments], options.output / "stages" / "stages.log", name="stages", patience_s=0.0
        )
    except CommandError as error:
        raise InputError(f"case {case}", str(error), "its stages", "look into the log") from error
    files = {STAGE_TITLES[stage]: target / f"{case}{ending}" for stage, target in targets.items()}
    return files, case


def _median_case(summary: Path) -> str:
    """The case in the middle by Dice: neither the best nor the worst is shown."""
    entries = json.loads(summary.read_text(encoding="utf-8"))["metric_per_case"]
    ranked = sorted((entry["paper"]["Dice"] or 0.0, entry["case"]) for entry in entries)
    return str(ranked[len(ranked) // 2][1])


def _volumes(files: Mapping[str, Path], case: str, options: FigureOptions) -> tuple[CaseVolumes, LabelStyle]:
    path = options.raw / "dataset.json"
    content = read_dataset_json(path)
    scheme, test = label_scheme(content, path), EvaluationCases.of(options.raw, options.fold)
    if case not in test.cases:
        raise InputError(f"`case` {case}", "no such case", f"one of {', '.join(test.cases[:5])}, ...", "choose one")
    reference = test.references / f"{case}{content['file_ending']}"
    results = {
        name: CaseResult(
            name=case, reference_file=reference, prediction_file=file, labels={}, trees={}, lobes={}, paper={}
        )
        for name, file in files.items()
    }
    images = None if "noNorm" in next(iter(channel_names(content)), "") else test.images
    try:
        volumes = load_case(results, {"ignore_label": scheme.ignore_label}, images)
    except NoPictureError as error:
        raise InputError(f"case {case}", str(error), "its label maps", "predict it again") from error
    if volumes.notes:
        raise InputError(f"case {case}", volumes.notes[0], "label maps of every system", "run the table again")
    return volumes, label_style(scheme.names, scheme.lobes)
