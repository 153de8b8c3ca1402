"""``impulse_nnunet submit``: a command shared among the jobs of an array."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from impulse_nnunet.cli.evaluate import merge_command, output_of
from impulse_nnunet.cli.shard_job import ShardJob
from impulse_nnunet.errors import USER_ERROR, InputError
from impulse_nnunet.jobs.submission import LOCAL, SCHEDULERS, SLURM, Resources, Submission, array_id, minutes_of

DESCRIPTION = """Run a command in N jobs, each with its shard of the cases: a job array of Slurm, or processes of this
machine. Jobs that are preempted, run out of time or lose their node start again and go on where they were. After
evaluate, one more job merges the shards (with --wait, or without Slurm: this call, or you). Needs
pip install 'impulse-nnunet[submit]'."""
EXAMPLES = """examples:
  impulse_nnunet submit predict -d 704 -f 0 -i IMAGES -o LABELS --scheduler slurm --jobs 50 --gpus 1 --time 4:00:00
  impulse_nnunet submit predict -d 704 -f 0 -i IMAGES -o LABELS --scheduler local --jobs 4 --wait
  impulse_nnunet submit evaluate labelsTs LABELS --scheduler slurm --jobs 50 --cpus 8 -np 8 --slurm qos=low
  impulse_nnunet submit evaluate labelsTs LABELS --scheduler slurm --jobs 50 --dry_run
"""
SHARED = ("predict", "reconstruct", "evaluate")
SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare each command's own flags, and those of the jobs behind them."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name in SHARED:
        module = importlib.import_module(f"impulse_nnunet.cli.{name}")
        sub = commands.add_parser(
            name,
            help=f"as impulse_nnunet {name}, and the flags of the jobs",
            allow_abbrev=False,
            description=DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        _add_job_flags(sub)


def _add_job_flags(parser: argparse.ArgumentParser) -> None:
    jobs = parser.add_argument_group("jobs")
    jobs.add_argument("--scheduler", required=True, choices=SCHEDULERS, help="a Slurm array, or processes here")
    jobs.add_argument("--jobs", type=int, required=True, metavar="N", help="shards, a job for each")
    jobs.add_argument("--cpus", type=int, default=4, metavar="N", help="cores of each job (default: 4)")
    jobs.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of each job (default: 0)")
    jobs.add_argument("--mem_gb", type=float, default=16, metavar="GB", help="memory of each job (default: 16)")
    jobs.add_argument("--time", default="4:00:00", metavar="H:MM:SS", help="longest run of a job (default: 4:00:00)")
    jobs.add_argument("--at_once", type=int, default=256, metavar="N", help="jobs at the same time (default: 256)")
    jobs.add_argument("--partition", metavar="NAME", help="of Slurm")
    jobs.add_argument("--account", metavar="NAME", help="of Slurm")
    jobs.add_argument(
        "--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="any other flag of sbatch, e.g. qos=low nice=100"
    )
    jobs.add_argument(
        "--logs", metavar="FOLDER", help="seen by all machines (default: the output folder's name, _jobs)"
    )
    jobs.add_argument(
        "--wait", action="store_true", help="until all jobs are over; exit code 2 if something is missing"
    )
    jobs.add_argument("--dry_run", action="store_true", help="show what would be run")


def run(options: argparse.Namespace) -> int:
    """Submit, and with --wait see it through."""
    resources = Resources(
        cpus=options.cpus,
        gpus=options.gpus,
        mem_gb=options.mem_gb,
        minutes=minutes_of(options.time),
        at_once=options.at_once,
        partition=options.partition,
        account=options.account,
        more=_pairs(options.slurm),
    )
    if options.jobs < 1:
        raise InputError("--jobs", str(options.jobs), "1 or more", "correct it")
    if options.shard is not None or options.num_parts is not None or options.part_id is not None:
        raise InputError("submit", "a shard among the flags", "none: each job gets its own", "give --jobs N only")
    output = output_of(options).parent if options.command == "evaluate" else Path(options.o)
    tasks = _tasks(options, resources.cpus)
    closing = _closing_task(options)
    logs = Path(options.logs) if options.logs else output.resolve().with_name(f"{output.resolve().name}_jobs")
    if options.dry_run:
        _show(options, tasks, closing, logs, resources)
        return 0
    submission = Submission(options.scheduler, logs, resources)
    jobs = submission.submit(f"impulse_{options.command}", tasks)
    _tell(jobs, options.scheduler, logs)
    if options.wait:
        return _see_through(submission, jobs, tasks, closing)
    if options.command == "evaluate" and options.scheduler == SLURM:
        submission = Submission(options.scheduler, logs, replace(resources, gpus=0))
        merging = submission.submit("impulse_merge", [closing], array_id(jobs[0]))
        print(f"job {merging[0].job_id} merges when they are over; by hand: {closing}")
    else:
        print(f"when they are over: {closing}")
    return 0


def _tasks(options: argparse.Namespace, cpus: int) -> list[ShardJob]:
    arguments = _own_arguments(options.command_line)
    return [
        ShardJob((*arguments, "--shard", f"{index}/{options.jobs}"), _cores(options, index, cpus))
        for index in range(options.jobs)
    ]


def _own_arguments(command_line: Sequence[str]) -> list[str]:
    """The command line without ``submit`` and the flags of the jobs."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    _add_job_flags(parser)
    return parser.parse_known_args(list(command_line)[1:])[1]


def _closing_task(options: argparse.Namespace) -> ShardJob:
    if options.command == "evaluate":
        return ShardJob(tuple(merge_command(output_of(options))))
    series = ("--series", *options.series) if options.series else ()
    return ShardJob(("merge", options.o, "-i", options.i, *series))


def _cores(options: argparse.Namespace, index: int, cpus: int) -> tuple[int, ...]:
    """Jobs of this machine stay on cores of their own, where there are enough for all."""
    if options.scheduler != LOCAL or not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    return tuple(cores[index * cpus : (index + 1) * cpus]) if options.jobs * cpus <= len(cores) else ()


def _see_through(submission: Submission, jobs: list, tasks: list[ShardJob], closing: ShardJob) -> int:
    bad = submission.wait(jobs)
    for number, reason in bad.items():
        print(f"impulse_nnunet: job {jobs[number].job_id} ({tasks[number].arguments[-1]}): {reason}", file=sys.stderr)
    try:
        closing()
    except RuntimeError:
        return USER_ERROR
    return USER_ERROR if bad else 0


def _tell(jobs: list, scheduler: str, logs: Path) -> None:
    names = [str(job.job_id) for job in jobs]
    shown = names if len(names) <= SHOWN else [*names[: SHOWN - 1], "...", names[-1]]
    print(f"{len(jobs)} job(s) on {scheduler}: {', '.join(shown)}; logs in {logs}")


def _show(
    options: argparse.Namespace, tasks: list[ShardJob], closing: ShardJob, logs: Path, resources: Resources
) -> None:
    print(f"{len(tasks)} job(s) on {options.scheduler}, logs in {logs}")
    print("each with " + ", ".join(f"{name} {value}" for name, value in vars(resources).items() if value))
    for task in tasks[:SHOWN]:
        print(f"  {task}")
    if len(tasks) > SHOWN:
        print(f"  ... to --shard {tasks[-1].arguments[-1]}")
    print(f"after them:\n  {closing}")


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, separator, value = text.lstrip("-").partition("=")
        if not (key and separator):
            raise InputError("--slurm", repr(text), "KEY=VALUE", "e.g. --slurm qos=low")
        pairs[key] = value
    return pairs
