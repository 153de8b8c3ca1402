"""What a cohort of N cases costs besides its images: ``python -m benchmarks.scaling [--cases 100000] [--only NAME]``.

``list``: folders of N empty files, as each shard lists them. ``merge``: N results of 18 labels in 100 parts, joined and
written; memory is the peak of the process. ``files``: one CT of 300 x 512 x 512 voxels (noise of 20 HU, which
compresses worse than lungs do) and its label map with 18 labels, written and read as .nii.gz. ``workers``: seconds in
which 1, 2, ... processes of one core predict the images of ``--images`` with the model ``--model`` (an array of
`impulse_nnunet submit --scheduler local`), and the seconds of processors that this takes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import SimpleITK as sitk

from impulse_nnunet.evaluation.case import evaluate_case
from impulse_nnunet.evaluation.folder import CaseFiles, match_files
from impulse_nnunet.evaluation.parts import Question, ShardResult, files_of, join, part_file, read_parts, write_part
from impulse_nnunet.evaluation.settings import MetricSettings
from impulse_nnunet.evaluation.summary import case_entry, join_entries, settings_record, write_summary
from impulse_nnunet.io.label_scheme import LabelScheme
from impulse_nnunet.io.listing import cases_in, list_cases
from impulse_nnunet.jobs.content import note_files
from impulse_nnunet.jobs.shards import Shard
from impulse_nnunet.runtime.peak_memory import peak_gigabytes, reset_peak

PARTS, LABELS, ENDING = 100, 18, ".nii.gz"


def main() -> None:
    """Run what was asked for and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="default: 100000")
    parser.add_argument("--only", choices=["list", "merge", "files", "workers"], help="default: the first three")
    parser.add_argument("--model", help="folder of a trained model, for workers")
    parser.add_argument("--images", help="folder of images, for workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only in (None, "list"):
            listing(folder, options.cases)
        if options.only in (None, "merge"):
            merging(folder, options.cases)
        if options.only in (None, "files"):
            files_of_one_case(folder)
        if options.only == "workers":
            predicting(folder, options.model, options.images, options.workers)


def listing(folder: Path, cases: int) -> None:
    """What each shard does before its first case."""
    images, labels = _empty_files(folder / "images", cases, "_0000"), _empty_files(folder / "labels", cases, "")
    _timed("list_cases, images", lambda: list_cases(images, ENDING))
    _timed("cases_in, label maps", lambda: cases_in(labels, ENDING))
    _timed("match_files, one of 1000 shards", lambda: match_files(labels, labels, {}, ENDING, False, Shard(0, 1000)))
    _timed("size and time of each label map", lambda: [path.stat() for path in cases_in(labels, ENDING).values()])


def merging(folder: Path, cases: int) -> None:
    """Parts of made-up results, then their join as ``impulse_nnunet merge`` does it."""
    labels = _empty_files(folder / "labels", cases, "")
    summary = folder / "summary.json"
    _timed("parts written", lambda: _write_parts(summary, labels))
    _say("size of the parts", sum(p.stat().st_size for p in (folder / "summary_parts").iterdir()) / 1e9, "GB")
    reset_peak()
    parts = _timed("parts read", lambda: read_parts(summary))
    matched, unmatched = match_files(labels, labels, {}, ENDING, False)
    entries, failures, missing = _timed("joined", lambda: join(parts, matched, unmatched))
    if missing or failures or len(entries) != cases:
        raise RuntimeError(f"{len(missing)} missing, {len(failures)} failed")
    content = _timed("means", lambda: join_entries(entries, parts[0].record, failures))
    _timed("summary.json and metrics.csv written", lambda: write_summary(content, summary))
    _say("peak memory", peak_gigabytes(), "GB")
    for name in ("summary.json", "metrics.csv"):
        _say(name, (folder / name).stat().st_size / 1e9, "GB")


def files_of_one_case(folder: Path) -> None:
    """Bytes and seconds of one CT and one label map, on local disk."""
    d, h, w = np.ogrid[:300, :512, :512]
    labels = ((d // 100) * 6 + (h // 171) * 2 + w // 256 + 1).astype(np.uint8)
    labels[((d - 150) / 140) ** 2 + ((h - 256) / 180) ** 2 + ((w - 256) / 230) ** 2 > 1] = 0
    ct = np.where(labels > 0, -850, 40) + np.random.default_rng(0).normal(0, 20, labels.shape)
    for name, array in (("ct", ct.astype(np.int16)), ("labels", labels)):
        path = str(folder / f"{name}{ENDING}")
        image = sitk.GetImageFromArray(array)
        _timed(f"{name} written", lambda image=image, path=path: sitk.WriteImage(image, path, useCompression=True))
        _timed(f"{name} read", lambda path=path: sitk.ReadImage(path))
        _say(f"{name} size", os.path.getsize(path) / 1e6, "MB")


def predicting(folder: Path, model: str, images: str, workers: list[int]) -> None:
    """Wall time of whole arrays on this machine, start of the processes included."""
    for number in workers:
        output = folder / f"labels_{number}"
        command = [
            sys.executable, "-m", "impulse_nnunet", "submit", "predict", "-m", model, "-f", "0", "-device", "cpu",
            "-npp", "1", "-i", images, "-o", str(output),
            "--scheduler", "local", "--jobs", str(number), "--cpus", "1", "--wait",
        ]  # fmt: skip
        before = _cpu_seconds()
        _timed(
            f"{number} process(es)", lambda command=command: subprocess.run(command, check=True, capture_output=True)
        )
        _say("of processors", _cpu_seconds() - before, "s")


def _cpu_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _write_parts(summary: Path, labels: Path) -> None:
    scheme = LabelScheme({label: f"segment {label}" for label in range(1, LABELS + 1)})
    settings, rng = MetricSettings(), np.random.default_rng(0)
    record = settings_record(scheme, settings, scheme.labels, {})
    question = Question(references=str(labels), predictions=str(labels), trees={}, ending=ENDING, chill=False)
    paths = cases_in(labels, ENDING)
    for index in range(PARTS):
        shard = Shard(index, PARTS)
        entries, notes = {}, {}
        result = evaluate_case(*rng.integers(0, LABELS + 1, (2, 8, 40, 40)), LABELS + 1, (1, 1, 1), settings)
        for case in shard.of(sorted(paths)):
            files = CaseFiles(case=case, reference=paths[case], prediction=paths[case], trees={})
            entries[case] = case_entry(files, result, scheme, settings, scheme.labels)
            notes[case] = note_files(files_of(files))
        part = ShardResult(shard=shard, question=question, record=record, entries=entries, notes=notes, failures={})
        write_part(part, part_file(summary, shard))


def _empty_files(folder: Path, number: int, channel: str) -> Path:
    if not folder.is_dir():
        folder.mkdir()
        for index in range(number):
            os.close(os.open(folder / f"case_{index:06}{channel}{ENDING}", os.O_CREAT | os.O_WRONLY))
    return folder


def _timed(name: str, run: Callable[[], Any]) -> Any:
    start = perf_counter()
    result = run()
    _say(name, perf_counter() - start, "s")
    return result


def _say(name: str, value: float, unit: str) -> None:
    sys.stdout.write(f"{name:40} {value:8.2f} {unit}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
