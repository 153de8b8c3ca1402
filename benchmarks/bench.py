"""One table of this project, the plain way and nnU-Net: ``make bench`` or ``python -m benchmarks.bench``.

Each row runs in a process of its own; seconds are medians of up to ``--runs`` runs, peak memory is what a run takes
above what lay in memory before it. The table is Markdown; the figures also go to a JSON file, a list of
``{"name", "seconds", "peak_mib", "against", "ratio"}`` that ``benchmarks.compare`` reads.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import standin
from benchmarks.rows import ROWS

LATEST = Path(__file__).with_name("latest.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="default: all of the device")
    parser.add_argument("--runs", type=int, default=3, help="default: 3")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--output", type=Path, default=LATEST, help=f"default: {LATEST.name} beside this file")
    options = parser.parse_args(arguments)
    names = options.rows or [name for name, row in ROWS.items() if options.device in row.devices]
    standin.made(standin.default_folder())
    write_head(options.device)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[name] = run_row(name, options.device, options.runs)
        sys.stdout.write(f"| {name}_{options.device} | {found[name]['seconds']:.3g} | {found[name]['peak_mib']:.0f} | ")
        sys.stdout.write(f"{found[name]['note']} |\n")
        sys.stdout.flush()
    results = with_ratios(found, options.device)
    sys.stdout.write("\n")
    for result in results:
        if result["against"]:
            sys.stdout.write(f"{result['name']}: {result['ratio']:.3g} times as fast as {result['against']}\n")
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def write_head(device: str) -> None:
    """Date, machine, versions and the table's head."""
    sys.stdout.write(f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, {machine(device)}\n\n")
    sys.stdout.write("| row | seconds | peak memory, MiB | note |\n|---|---|---|---|\n")


def run_row(name: str, device: str, runs: int) -> dict[str, Any]:
    """One row in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rows", name, device, str(runs)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def with_ratios(found: dict[str, dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """The file's entries; a row is compared with another of the same run only."""
    entries = []
    for name, result in found.items():
        against = ROWS[name].against
        other = found.get(against) if against else None
        entries.append(
            {
                "name": name if name == "evaluate_case" else f"{name}_{device}",
                "seconds": result["seconds"],
                "peak_mib": result["peak_mib"],
                "against": f"{against}_{device}" if other else None,
                "ratio": other["seconds"] / result["seconds"] if other else None,
            }
        )
    return entries


def machine(device: str) -> str:
    """Processor, cores, GPU and versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    gpu = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    return f"{name}, {os.cpu_count()} cores{gpu}, Python {platform.python_version()}, torch {torch.__version__}"


if __name__ == "__main__":
    sys.exit(main())
