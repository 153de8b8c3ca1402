"""The last steps of the pipeline: predictions, scores and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from impulse_nnunet.jobs.step import Step
from impulse_nnunet.lungs.anatomy import TREE_FOLDERS_OF_BAV
from impulse_nnunet.lungs.raw_dataset import LungDataset
from impulse_nnunet.lungs.stages import CommonOptions, StageOptions


def result_steps(
    folder: Path,
    dataset: LungDataset,
    stage: StageOptions,
    common: CommonOptions,
    trained: Sequence[Step],
    output: Path,
    report: bool,
) -> list[Step]:
    """Predictions of the test cases (or the validations, joined), scores and the report.

    Args:
        folder: Raw data set of the segment stage.
        dataset: That of the CTs.
        stage: The segment stage.
        common: For all steps.
        trained: Trainings of the segment stage.
        output: Folder of predictions, scores and report.
        report: Write report.html.
    """
    model = trained[-1].record.parent
    tested = any(case.is_test for case in dataset.cases.values())
    scored = not tested or all(case.labels for case in dataset.cases.values() if case.is_test)
    predictions = output / ("predictions" if tested else "validation")
    folds = [step.name.rsplit("_", 1)[1] for step in trained]
    resume_flags: tuple[str, ...] = ()
    if tested:
        command = [
            "impulse_nnunet",
            "predict",
            "-m",
            str(model),
            "-f",
            *folds,
            "-i",
            str(folder / "imagesTs"),
            "-o",
            str(predictions),
            "-npp",
            str(common.processes),
            "--disable_progress_bar",
        ]
        command += ["-device", common.device] if common.device else []
        title, resume_flags = "segments of the test cases", ("--continue_prediction",)
    else:
        command = [
            "nnUNetv2_accumulate_crossval_results",
            folder.name,
            "-c",
            stage.configuration,
            "-tr",
            stage.trainer,
            "-p",
            stage.plans_name,
            "-f",
            *folds,
            "-o",
            str(predictions),
        ]
        title = "segments of the validation cases, each by the fold that did not see it"
    predicted = Step(
        name="predict",
        title=title,
        commands=(tuple(command),),
        record=output / "step_predict.json",
        products=(predictions,),
        owned=(predictions,),
        after=tuple(trained),
        resume_flags=resume_flags,
    )
    if not scored:
        return [predicted]
    trees = [name for name in TREE_FOLDERS_OF_BAV.values() if (dataset.folder / "trees" / name).is_dir()]
    part = "Ts" if tested else "Tr"
    evaluated = _evaluation_step(folder, predictions, part, output, predicted, common, trees)
    return [predicted, evaluated, *([_report_step(folder, predictions, tested, output, evaluated)] * report)]


def _evaluation_step(
    folder: Path,
    predictions: Path,
    part: str,
    output: Path,
    predicted: Step,
    common: CommonOptions,
    trees: Sequence[str],
) -> Step:
    command = [
        "impulse_nnunet",
        "evaluate",
        str(folder / f"labels{part}"),
        str(predictions),
        "-djfile",
        str(folder / "dataset.json"),
        "-np",
        str(common.processes),
        "--disable_progress_bar",
    ]
    command += ["--chill"] if part == "Tr" else []  # some folds have some cases
    for name in trees:
        command += [f"--{name}", str(folder / "trees" / name)]
    products = (predictions / "summary.json", predictions / "metrics.csv")
    return Step(
        name="evaluate",
        title="scores",
        commands=(tuple(command),),
        record=output / "step_evaluate.json",
        products=products,
        owned=products,
        after=(predicted,),
    )


def _report_step(folder: Path, predictions: Path, tested: bool, output: Path, evaluated: Step) -> Step:
    report = output / "report.html"
    command = [
        "impulse_nnunet",
        "report",
        str(predictions),
        "-o",
        str(report),
        "--title",
        folder.name,
        "--images",
        str(folder / f"images{'Ts' if tested else 'Tr'}"),
    ]
    return Step(
        name="report",
        title="report with pictures",
        commands=(tuple(command),),
        record=output / "step_report.json",
        products=(report,),
        owned=(report,),
        after=(evaluated,),
    )
