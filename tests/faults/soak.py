"""``make soak``: kills for as long as one likes, and thousands of mutated files; figures for docs/reliability.md.

python -m tests.faults.soak --minutes 20 --seed 1 --cases 2000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from impulse_nnunet.phantom.simple_chest import write_dataset
from tests.faults.fuzz import Fuzzer, Tally, fuzz
from tests.faults.harness import Harness, Subject, Trial
from tests.faults.implausible import spoil
from tests.faults.subjects import all_subjects, make_lungs, write_fault_plans
from tests.inference.test_region import try_random_boxes
from tests.workplace import SIZE, TRAIN, Workplace, make_workplace, plan

REGIONS = 10  # mutated files for each localizer that finds a random box
LARGEST_NUMBER_OF_FAULTS = 3  # before the call that is left alone


def main() -> int:
    """Disturb and fuzz; returns 1 if anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="of faults (default: 20)")
    parser.add_argument("--cases", type=int, default=2000, help="mutated files to try (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default: 1)")
    parser.add_argument(
        "--subjects",
        nargs="+",
        metavar="NAME",
        help="to disturb: preprocessing, training, prediction, evaluation, build_inputs, pipeline (default: all)",
    )
    parser.add_argument("--folder", type=Path, help="to work in; kept (default: a temporary one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="soak_") as temporary:
        folder = options.folder or Path(temporary)
        workplace = prepared(folder / "workplace")
        tally = Tally()
        if options.cases > 0:
            fuzz_files(folder / "fuzz", workplace, tally, options.cases, options.seed)
            say("\n".join(lines_of_tally(tally)))
        subjects = all_subjects(workplace)
        chosen = [subjects[name] for name in options.subjects or subjects]
        trials = disturb(folder / "runs", chosen, options.minutes, options.seed) if options.minutes > 0 else []
        say("\n".join(lines_of_trials(trials)))
    return int(bool(tally.wrong) or any(trial.lost for trial in trials))


def prepared(folder: Path) -> Workplace:
    """The tiny data set with a trained model, plans of both stages, and a phantom cohort; made once for a folder."""
    workplace = make_workplace(folder)
    if not (workplace.base / "ready").exists():
        say("making a data set and a model")
        write_dataset(workplace.raw, training=8, test=3, size=SIZE, spacing_mm=8.0)
        plan(workplace)
        workplace.run(*TRAIN)
        make_lungs(workplace)
        (workplace.base / "ready").touch()
    write_fault_plans(workplace)
    os.environ.update(workplace.environment)
    return workplace


def disturb(folder: Path, subjects: Sequence[Subject], minutes: float, seed: int) -> list[Trial]:
    """Subject after subject, until the time is up."""
    harness, trials = Harness(folder, seed), []
    end = time.monotonic() + 60 * minutes
    for subject in subjects:
        harness.undisturbed(subject)
    while time.monotonic() < end:
        subject = subjects[len(trials) % len(subjects)]
        trials.append(harness.disturbed(subject, harness.rng.randint(1, LARGEST_NUMBER_OF_FAULTS)))
        trial = trials[-1]
        say(f"{trial.subject}: {len(trial.faults)} fault(s), {'LOST: ' + trial.lost if trial.lost else 'survived'}")
    return trials


def fuzz_files(folder: Path, workplace: Workplace, tally: Tally, cases: int, seed: int) -> None:
    """Mutated files for the commands that read images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        os.environ[name] = str(folder / name)
    fuzz(Fuzzer(folder, workplace.model, tally), cases, seed)
    cut, enlarged, calls = try_random_boxes(max(1, cases // REGIONS), seed)
    tally.ended["region: enlarged"], tally.ended["region: as found"] = enlarged, len(calls) - enlarged
    tally.wrong += [f"{cut} of {len(calls)} random regions cut a label"] if cut else []
    spoil(folder.with_name("spoilt"), tally, max(1, cases // 5), seed)
    os.environ.update(workplace.environment)


def lines_of_trials(trials: list[Trial]) -> list[str]:
    """The table of faults."""
    faults = Counter((fault.subject, fault.kind) for trial in trials for fault in trial.faults)
    lines = ["| what was running | SIGTERM | SIGKILL | SIGKILL with its workers |", "|---|---|---|---|"]
    for name in sorted({subject for subject, _ in faults}):
        counts = [faults[name, kind] for kind in ("SIGTERM", "SIGKILL", "SIGKILL+workers")]
        lines.append(f"| {name} | {counts[0]} | {counts[1]} | {counts[2]} |")
    ends = [fault.seconds for trial in trials for fault in trial.faults if fault.kind == "SIGTERM"]
    lost = [trial for trial in trials if trial.lost]
    lines.append(
        f"{len(trials)} runs with {sum(faults.values())} faults, {len(trials) - len(lost)} survived, "
        f"{len(lost)} lost; at most {max(ends, default=0.0):.1f} s from SIGTERM to the end"
    )
    return lines + [f"LOST {trial.subject}: {trial.lost}" for trial in lost]


def lines_of_tally(tally: Tally) -> list[str]:
    """The tables of mutated files."""
    lines = [f"{tally.cases} cases, {len(tally.wrong)} wrong", "| command and end | cases |", "|---|---|"]
    lines += [f"| {end} | {number} |" for end, number in sorted(tally.ended.items())]
    lines += ["| found | messages |", "|---|---|"]
    lines += [f"| {kind} | {number} |" for kind, number in tally.kinds.most_common()]
    return lines + [f"WRONG {wrong}" for wrong in tally.wrong]


def say(text: str) -> None:
    """Write at once, for whoever watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
