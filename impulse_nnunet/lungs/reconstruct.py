"""CT in, segments out: both stages in one call. The anatomy masks that the segment model takes are predicted first."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.io.dataset_json import read_dataset_json
from impulse_nnunet.io.images import read_case
from impulse_nnunet.io.nnunet import reader_for
from impulse_nnunet.jobs.case_records import RECORDS, CaseRecords, model_identity
from impulse_nnunet.jobs.prediction_file import INPUT, findings_of
from impulse_nnunet.jobs.shards import Shard
from impulse_nnunet.lungs.inputs import kind_of, needs_bav, needs_lobes, write_channels
from impulse_nnunet.lungs.label_mapping import LabelMapping
from impulse_nnunet.lungs.models import ShapeModel
from impulse_nnunet.lungs.prediction import PredictionOptions, predict_unseen
from impulse_nnunet.lungs.sources import AnatomyMasks, SourceOptions
from impulse_nnunet.nnunet.input_folder import look_into
from impulse_nnunet.nnunet.judging import log_findings
from impulse_nnunet.nnunet.models import trained_folds
from impulse_nnunet.nnunet.output_options import OutputOptions
from impulse_nnunet.nnunet.predictor import ImPulSePredictor
from impulse_nnunet.preprocessing.survey import for_all_cases
from impulse_nnunet.runtime.findings import Finding

MASKS_FOLDER = "masks"


@dataclass(frozen=True, kw_only=True)
class ReconstructOptions:
    """The models and how to run them.

    Args:
        segment_model: Folder of the segment stage's model, one of this package.
        bav: Model of bronchi, arteries and veins, where the segment model takes them.
        lobes: Model of the lobes, likewise.
        folds: Folds of the segment model; all that are trained by default.
        checkpoint: Checkpoint of the segment model.
        prediction: Device and speed.
        keep_masks: Leave the predicted anatomy masks and the channels made of them in ``masks``.
        outputs: What to write for each case, and on which grid.
        overwrite: Start over; else cases that an earlier call made from the same CT with the same models are kept.
        shard: The share of the cases that this call takes.
        series: DICOM series to take, by UID or name; the largest CT of each study by default.
        progress: Show bars.
    """

    segment_model: Path
    bav: SourceOptions | None = None
    lobes: SourceOptions | None = None
    folds: tuple[int | str, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"
    prediction: PredictionOptions = field(default_factory=PredictionOptions)
    keep_masks: bool = False
    outputs: OutputOptions = field(default_factory=OutputOptions)
    overwrite: bool = False
    shard: Shard = field(default_factory=Shard)
    series: tuple[str, ...] = ()
    progress: bool = True


@dataclass(frozen=True, kw_only=True)
class _ShapeStage:
    """One model of anatomy masks and what its labels show."""

    part: str
    model: ShapeModel
    mapping: LabelMapping
    names: tuple[str, ...]

    def predict(self, images: Mapping[str, Path], folder: Path, options: PredictionOptions) -> dict[str, AnatomyMasks]:
        """The masks of all cases; an interrupted call goes on."""
        files = predict_unseen(self.model, images, folder / self.part, options)
        origin = f"predicted by {self.model.name}"
        return {
            case: AnatomyMasks(names=self.names, files=(file,), mapping=self.mapping, origin=origin, predicted=True)
            for case, file in files.items()
        }


def reconstruct(
    input_folder: Path, output: Path, predictor: ImPulSePredictor, options: ReconstructOptions
) -> list[str]:
    """Predict the segments of the CTs of a folder (``CASE_0000.nii.gz``, or DICOM series).

    Args:
        input_folder: CTs.
        output: Folder of the label maps; made if it does not exist.
        predictor: Without a model yet.
        options: The models.

    Returns:
        The identifiers of the cases that were predicted in this call.

    Raises:
        InputError: The models do not fit the call or each other.
        CasesFailedError: After the others are done, if cases failed.
    """
    dataset_json, kind = _segment_stage(options)
    ending = dataset_json["file_ending"]
    images = look_into(input_folder, {"file_ending": ending, "channel_names": {"0": "CT"}}, options.series)
    stages = _shape_stages(kind, options, ending)
    predictor.initialize_from_trained_model_folder(str(options.segment_model), options.folds, options.checkpoint)
    settings = _settings(stages, options)
    records = CaseRecords(output / RECORDS, settings)
    predictor.run |= {"command": "impulse_nnunet reconstruct", INPUT: str(input_folder), "settings": settings}
    recorded = predictor.prediction_file(output, options.outputs)
    recorded.leave_out(input_folder, images.left_out)
    recorded.forget_failures(images.inputs.names)
    work = output / (MASKS_FOLDER if options.shard.count == 1 else f"{MASKS_FOLDER}_{options.shard.index}")
    if options.overwrite:  # masks that are kept may be of other CTs with the same names
        shutil.rmtree(work, ignore_errors=True)

    with images.files(options.shard.of(images.inputs.names), output, ending, recorded) as cases:

        def reconstruct_cases(todo: list[str]) -> list[str]:
            chosen = {case: cases[case] for case in todo}
            recorded.kept(case for case in cases if case not in chosen)
            done, failures = _reconstruct_cases(chosen, output, work, predictor, dataset_json, kind, stages, options)
            for case, reason in failures.items():
                recorded.failed(case, reason, predictor.findings.of(case))
            recorded.join()
            if failures:
                raise CasesFailedError(dict(sorted(failures.items())), len(cases))
            return done

        sources = {case: [Path(file) for file in files] for case, files in cases.items()}
        products = predictor.outputs(output, options.outputs).files
        return records.resume(sources, products, reconstruct_cases, options.overwrite)


def _settings(stages: list[_ShapeStage], options: ReconstructOptions) -> dict[str, Any]:
    """What decides the segments, besides the CTs."""
    folds = options.folds or trained_folds(options.segment_model, options.checkpoint)
    models = {"segments": model_identity(options.segment_model, folds, options.checkpoint)}
    models |= {
        stage.part: model_identity(stage.model.folder, stage.model.folds, stage.model.checkpoint) for stage in stages
    }
    outputs = {} if options.outputs == OutputOptions() else {"options": options.outputs.record()}
    return {"models": models, "disable_tta": options.prediction.disable_tta, "version": __version__} | outputs


def _reconstruct_cases(
    cases: Mapping[str, list[str]],
    output: Path,
    work: Path,
    predictor: ImPulSePredictor,
    dataset_json: Mapping[str, Any],
    kind: str,
    stages: list[_ShapeStage],
    options: ReconstructOptions,
) -> tuple[list[str], dict[str, str]]:
    """Both stages for some cases; returns those that were tried to the end, and why others failed."""
    images, failures = _readable(cases, dataset_json, options)
    channels: dict[str, list[str]] = {}
    if images:
        shapes = [stage.predict(images, work, options.prediction) for stage in stages]
        channels, more = _write_all_channels(kind, images, shapes, work / "channels", dataset_json, options)
        failures |= more
        try:
            noted = _noted(stages, work)
            workers = options.prediction.processes
            predictor.predict_cases(channels, output, options.outputs, workers=workers, noted=noted)
        except CasesFailedError as error:
            failures |= error.failures
    if not options.keep_masks:
        shutil.rmtree(work, ignore_errors=True)
    return list(channels), failures


def _noted(stages: list[_ShapeStage], work: Path) -> dict[str, list[Finding]]:
    """What was found of the cases in the first stage, where its models are of this package; logged here too.

    The first stage's own log lies in a folder that is removed.
    """
    noted: dict[str, list[Finding]] = {}
    for stage in stages:
        for case, found in findings_of(work / stage.part).items():
            noted.setdefault(case, []).extend(Finding(one.kind, f"{stage.part}: {one.text}") for one in found)
    for case, found in noted.items():
        log_findings(case, found)
    return noted


def _segment_stage(options: ReconstructOptions) -> tuple[Mapping[str, Any], str]:
    """dataset.json of the segment model, and which kind of input it takes."""
    path = options.segment_model / "dataset.json"
    content = read_dataset_json(path, ("labels", "file_ending", "channel_names"), "check `segment_model`")
    return content, kind_of(content, str(path))


def _shape_stages(kind: str, options: ReconstructOptions, ending: str) -> list[_ShapeStage]:
    """The models of the masks that a kind of input needs, no more and no less."""
    stages = []
    for name, needed, source in (
        ("bav", needs_bav(kind), options.bav),
        ("lobes", needs_lobes(kind), options.lobes),
    ):
        if needed != (source is not None):
            found, wanted = ("nothing", "a model's folder") if needed else (str(source and source.source), "nothing")
            remedy = "give it" if needed else "leave it out"
            raise InputError(f"`{name}`", found, wanted, f"the segment model takes the input {kind!r}; {remedy}")
        if source is None:
            continue
        model = source.model()
        if model is None:
            raise InputError(f"`{name}` {source.source}", "no trained model", "a model's folder", "check the path")
        if model.ending != ending:
            raise InputError(
                f"`{name}` {source.source}",
                f"files {model.ending}",
                f"{ending} as the segment model has",
                "use models of one file format",
            )
        mapping = source.mapping(model.folder / "dataset.json")
        stages.append(_ShapeStage(part=source.part, model=model, mapping=mapping, names=source.wanted))
    return stages


def _readable(
    cases: Mapping[str, list[str]], dataset_json: Mapping[str, Any], options: ReconstructOptions
) -> tuple[dict[str, Path], dict[str, str]]:
    """The CT of each case that can be read, and why the others cannot: one bad file would end a whole first stage."""

    def check(case: str) -> Path:
        read_case(reader_for(dict(dataset_json))(), case, cases[case], 1)
        return Path(cases[case][0])

    return _kept(check, list(cases), options, "Checking")


def _write_all_channels(
    kind: str,
    images: Mapping[str, Path],
    shapes: list[dict[str, AnatomyMasks]],
    folder: Path,
    dataset_json: Mapping[str, Any],
    options: ReconstructOptions,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The channels of each case for the segment model, and why some have none."""

    def write(case: str) -> list[str]:
        masks = {name: mask for found in shapes for name, mask in found[case].masks(images[case]).items()}
        files = write_channels(kind, case, images[case], masks, folder, dataset_json["file_ending"])
        return [str(file) for file in files]

    return _kept(write, list(images), options, "Joining anatomy masks")


def _kept(function: Any, cases: list[str], options: ReconstructOptions, title: str) -> tuple[dict[str, Any], dict]:
    """Results of a function of the case, and the reasons of those that failed."""
    results: dict[str, Any] = {}

    def keep(case: str) -> None:
        results[case] = function(case)

    try:
        for_all_cases(keep, cases, options.prediction.processes, title, options.progress)
    except CasesFailedError as error:
        return {case: results[case] for case in cases if case in results}, error.failures
    return {case: results[case] for case in cases}, {}
