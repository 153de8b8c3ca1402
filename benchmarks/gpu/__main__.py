"""Run parts of the GPU checks: ``tools/gpu_run.sh PART...``, or ``python -m benchmarks.gpu PART...``.

Each check runs in a process of its own with a time limit; what one finds is written at once to ``OUTPUT/PART.json``,
its log to ``OUTPUT/PART.log``. ``--device cpu --tiny`` rehearses everything in small sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.gpu import correct, speed, studies
from benchmarks.gpu.context import Context
from benchmarks.gpu.steps import PART_OF_RESULT

CHECKS: dict[str, Callable[[Context], dict[str, Any]]] = {**correct.CHECKS, **speed.CHECKS, **studies.CHECKS}
PARTS = {
    "correct": tuple(correct.CHECKS),
    "speed": tuple(speed.CHECKS),
    "hippocampus": ("hippocampus",),
    "convergence": ("convergence",),
    "paper": ("paper",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; exit code 1 if a check failed."""
    options = parse(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("benchmarks.gpu: found no CUDA device, expected one; --device cpu --tiny rehearses\n")
        return 2
    context = Context(
        device=torch.device(options.device),
        tiny=options.tiny,
        work=options.work.resolve(),
        data=options.data.resolve() if options.data else None,
        minutes=options.minutes,
    )
    if options.check:
        sys.stdout.write("\n" + json.dumps(CHECKS[options.check](context)) + "\n")
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    failed = [part for part in options.parts if not run_part(part, options)]
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("parts", nargs="*", choices=[*PARTS, []], help=f"of: {', '.join(PARTS)}")
    add("--device", default="cuda", choices=["cpu", "cuda"], help="default: cuda")
    add("--tiny", action="store_true", help="small sizes and few steps: a rehearsal")
    add("--data", type=Path, help="folder with Dataset704_Hippocampus and Dataset720_CouinaudShapes (raw)")
    add("--work", type=Path, default=Path(tempfile.gettempdir()) / "impulse_nnunet_gpu", help="for files on the way")
    add("--output", type=Path, default=Path("gpu_output"), help="for results and logs (default: gpu_output)")
    add("--minutes", type=float, default=3.0, help="of each training (default: 3)")
    add("--limit", type=float, default=240.0, help="seconds for each check (default: 240)")
    add("--only", nargs="+", choices=list(CHECKS), help="these checks of the parts alone")
    add("--check", choices=list(CHECKS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.parts and not options.check:
        parser.error(f"no part is named, expected some of {', '.join(PARTS)}")
    return options


def run_part(part: str, options: argparse.Namespace) -> bool:
    """Run a part's checks one after the other; whether all ended well."""
    results, well = {}, True
    names = [name for name in PARTS[part] if not options.only or name in options.only]
    with (options.output / f"{part}.log").open("w", encoding="utf-8") as log:
        for name in names:
            start = perf_counter()
            found = run_check(name, options, log)
            results[name] = found | {"wall_seconds": round(perf_counter() - start, 1)}
            well &= "error" not in found
            (options.output / f"{part}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
            sys.stdout.write(f"{part} {name}: {json.dumps(results[name])[:1500]}\n")
            sys.stdout.flush()
    return well


def run_check(name: str, options: argparse.Namespace, log: Any) -> dict[str, Any]:
    """A check in a process of its own; the last line that it prints is its result."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--check",
        name,
        "--device",
        options.device,
        "--work",
        str(options.work),
        "--minutes",
        str(options.minutes),
    ]
    command += ["--tiny"] if options.tiny else []
    command += ["--data", str(options.data)] if options.data else []
    log.write(f"\n===== {name}\n")
    log.flush()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=log, env=os.environ, start_new_session=True)
        try:
            code = process.wait(options.limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            code = None
        output.seek(0)
        text = output.read()
    log.write(text)
    log.flush()
    if code == 0:
        return json.loads(text.splitlines()[-1])
    done: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith(PART_OF_RESULT):
            done |= json.loads(line.removeprefix(PART_OF_RESULT))
    reason = f"not done within {options.limit:g} s" if code is None else f"exit code {code}; see the log"
    return {"error": reason} | done


if __name__ == "__main__":
    sys.exit(main())
