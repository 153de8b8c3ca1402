"""``impulse_nnunet evaluate``: voxel, surface and anatomy metrics of a folder of predictions."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impulse_nnunet.cli.reading_flags import add_reading_flags
from impulse_nnunet.cli.shard_flags import add_shard_flags, shard_from
from impulse_nnunet.errors import CasesFailedError, InputError

if TYPE_CHECKING:
    from impulse_nnunet.evaluation.folder import CaseFiles
    from impulse_nnunet.evaluation.parts import ShardResult
    from impulse_nnunet.evaluation.settings import MetricSettings
    from impulse_nnunet.io.label_scheme import LabelScheme

DESCRIPTION = """Compare predictions with references: Dice, surface Dice (NSD) and, where the trees are given, how many
bronchi, arteries and veins leave their own segment (NI) and by how far (ID). Writes summary.json, which nnU-Net's own
tools can read, and metrics.csv (case, label, metric, value) beside it. The definitions are in docs/metrics.md."""
EXAMPLES = """examples:
  impulse_nnunet evaluate labelsTs PREDICTIONS
  impulse_nnunet evaluate labelsTs PREDICTIONS --airway AIRWAYS --artery ARTERIES -np 8
  impulse_nnunet evaluate labelsTs PREDICTIONS --surface surfel --tolerance_mm 0.5 1 2 --hd95 --assd
  impulse_nnunet evaluate labelsTs PREDICTIONS --shard auto      # one task of a job array; then, once:
  impulse_nnunet merge PREDICTIONS
  impulse_nnunet evaluate REFERENCES PREDICTIONS --labels 1 2 --chill -o scores/summary.json
"""
TREE_FLAGS = {
    "airway": "bronchi: NIB, IDB",
    "artery": "pulmonary arteries: NIA, IDA",
    "vein": "pulmonary veins: NIV, IDV",
    "interseg": "intersegmental veins, which belong to no segment: Dice on their voxels only",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those with one dash, and --chill, are those of nnUNetv2_evaluate_folder."""
    add_reading_flags(parser)
    parser.add_argument("references", metavar="GT_FOLDER", help="reference label maps")
    parser.add_argument("predictions", metavar="PRED_FOLDER", help="predicted label maps of the same names")
    parser.add_argument(
        "-djfile",
        metavar="FILE",
        help="dataset.json (default: the one in PRED_FOLDER, in GT_FOLDER or above GT_FOLDER)",
    )
    parser.add_argument("-o", metavar="FILE", help="output (default: PRED_FOLDER/summary.json)")
    parser.add_argument("-np", type=int, metavar="N", help="processes (default: nnUNet_def_n_proc, or the cores)")
    parser.add_argument("--chill", action="store_true", help="references without a prediction are no failure")
    add_shard_flags(parser)
    trees = parser.add_argument_group("trees (folders of label maps with the same case identifiers)")
    for name, text in TREE_FLAGS.items():
        trees.add_argument(f"--{name}", metavar="FOLDER", help=text)
    trees.add_argument(
        "--tree_labels",
        action="store_true",
        help="the trees carry the label of the segment of each voxel (default: that of the reference around it)",
    )
    choices = parser.add_argument_group("choices that the paper leaves open")
    choices.add_argument("--tolerance_mm", nargs="+", type=float, default=[1, 2, 3], help="of the NSD (default: 1 2 3)")
    choices.add_argument("--surface", default="voxel", choices=["voxel", "surfel"], help="of the NSD (default: voxel)")
    choices.add_argument(
        "--connectivity", type=int, default=26, choices=[26, 18, 6], help="of an intrusion (default: 26)"
    )
    choices.add_argument("--min_size", type=int, default=1, help="voxels of the smallest intrusion (default: 1)")
    choices.add_argument(
        "--intrusion_surface",
        default="whole",
        choices=["whole", "interface"],
        help="what ID is measured to: the whole surface of the predicted segment, or where it touches another one "
        "(default: whole)",
    )
    choices.add_argument(
        "--absent",
        default="skip",
        choices=["skip", "zero"],
        help="a label in neither map is left out of the means, or counts as 0 (default: skip)",
    )
    choices.add_argument("--labels", nargs="+", type=int, metavar="LABEL", help="report these only (default: all)")
    choices.add_argument("--hd95", action="store_true", help="also the 95th percentile of the Hausdorff distance")
    choices.add_argument("--assd", action="store_true", help="also the average symmetric surface distance")
    parser.add_argument("--disable_progress_bar", action="store_true", help="no progress bar")
    parser.add_argument("--verbose", action="store_true", help="tracebacks of errors")


def run(options: argparse.Namespace) -> int:
    """Evaluate."""
    from impulse_nnunet.evaluation.folder import evaluate_cases, match_files
    from impulse_nnunet.evaluation.parts import Question, ShardResult
    from impulse_nnunet.evaluation.settings import MetricSettings
    from impulse_nnunet.evaluation.summary import settings_record, summarise, write_summary
    from impulse_nnunet.jobs.pool import default_processes

    references, predictions = Path(options.references), Path(options.predictions)
    output = output_of(options)
    settings = MetricSettings(
        tolerances_mm=tuple(options.tolerance_mm),
        surface=options.surface,
        connectivity=options.connectivity,
        min_size=options.min_size,
        intrusion_surface=options.intrusion_surface,
        absent=options.absent,
        hd95=options.hd95,
        assd=options.assd,
        tree_labels=options.tree_labels,
    )
    for folder in (references, predictions):
        if not folder.is_dir():
            raise InputError(str(folder), "no such folder", "a folder of label maps", "check the path")
    scheme, labels, ending = _labels(options, references, predictions)
    trees = {name: Path(getattr(options, name)) for name in TREE_FLAGS if getattr(options, name)}
    shard = shard_from(options)
    cases, unmatched = match_files(references, predictions, trees, ending, options.chill, shard)
    processes = options.np if options.np is not None else default_processes()
    folders = {name: str(folder) for name, folder in trees.items()}
    if shard is not None:
        question = Question(
            references=str(references), predictions=str(predictions), trees=folders, ending=ending, chill=options.chill
        )
        part = ShardResult(
            shard=shard,
            question=question,
            record=settings_record(scheme, settings, labels, folders),
            entries={},
            notes={},
            failures=unmatched,
        )
        return _run_shard(part, cases, output, scheme, settings, processes, not options.disable_progress_bar)
    metrics = evaluate_cases(cases, scheme, settings, processes, not options.disable_progress_bar)
    metrics.failures.update(unmatched)
    if metrics.cases:
        summary = summarise(metrics, scheme, settings, labels, folders)
        write_summary(summary, output)
        print_table(summary, output)
    if metrics.failures:
        raise CasesFailedError(metrics.failures, len(metrics.failures) + len(metrics.cases))
    if not metrics.cases:
        raise InputError(
            str(predictions), "no case to evaluate", f"files named as in {references}", "check the folders and endings"
        )
    return 0


def _run_shard(
    part: ShardResult,
    cases: list[CaseFiles],
    output: Path,
    scheme: LabelScheme,
    settings: MetricSettings,
    processes: int,
    progress: bool,
) -> int:
    from impulse_nnunet.evaluation.parts import part_file
    from impulse_nnunet.evaluation.shard import evaluate_shard

    path = part_file(output, part.shard)
    part = evaluate_shard(part, cases, path, scheme, settings, processes, progress)
    merge = shlex.join(["impulse_nnunet", *merge_command(output)])
    print(f"shard {part.shard}: {len(part.entries)} case(s); {path}; after all shards: {merge}")
    if part.failures:
        raise CasesFailedError(part.failures, len(part.failures) + len(part.entries))
    return 0


def output_of(options: argparse.Namespace) -> Path:
    """The summary that the flags name."""
    output = Path(options.o) if options.o else Path(options.predictions) / "summary.json"
    if output.suffix != ".json":
        raise InputError("-o", str(output), "a file that ends in .json", "e.g. -o scores/summary.json")
    return output


def merge_command(output: Path) -> list[str]:
    """The arguments of ``impulse_nnunet`` that join the parts of a summary."""
    return ["merge", str(output.parent), *([] if output.name == "summary.json" else ["-o", str(output)])]


def _labels(
    options: argparse.Namespace, references: Path, predictions: Path
) -> tuple[LabelScheme, list[int], str | None]:
    from impulse_nnunet.io.dataset_json import find_dataset_json, read_dataset_json
    from impulse_nnunet.io.label_scheme import label_scheme, scheme_of_labels

    path = Path(options.djfile) if options.djfile else find_dataset_json(references, predictions)
    if path is None:
        if not options.labels:
            raise InputError(str(predictions), "no dataset.json", "the names of the labels", "give -djfile or --labels")
        scheme = scheme_of_labels(options.labels)
        return scheme, scheme.labels, None
    content = read_dataset_json(path, remedy="check -djfile")
    scheme = label_scheme(content, path)
    unknown = [label for label in options.labels or () if label not in scheme.names]
    if unknown:
        known = ", ".join(str(label) for label in scheme.labels)
        raise InputError("--labels", str(unknown[0]), f"labels of {path} ({known})", "correct it")
    return scheme, sorted(set(options.labels or scheme.labels)), content.get("file_ending")


def print_table(summary: dict[str, Any], output: Path) -> None:
    """Show the means of a summary that was written."""
    cases, missing = len(summary["metric_per_case"]), summary["n_nan"]
    print(f"{cases} case(s), mean over cases of the mean over labels; {output}")
    for name, value in summary["paper"].items():
        note = f"  (undefined in {missing[name]} case(s))" if missing[name] else ""
        print(f"  {name:<16} {value:10.4f}{note}")
    sys.stdout.flush()
