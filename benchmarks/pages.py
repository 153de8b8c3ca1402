"""Seconds until a page of ``impulse_nnunet view`` shows something: ``python -m benchmarks.pages PAGE.html [--runs 3]``.

Opens the page in a headless Chromium that draws on the CPU, without a network. Besides the clock it gives the CPU
seconds of the whole browser up to ``ready``, which do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median

from tests.outputs.page.browser import Browser

READY = "window.impulse && window.impulse.ready"


def main() -> None:
    """Print one line a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--runs", type=int, default=3, help="default: 3; the median counts")
    options = parser.parse_args()
    for page in options.pages:
        runs = [measure(page) for _ in range(options.runs)]
        first, ready, seconds = (median(values) for values in zip(*runs, strict=True))
        size = page.stat().st_size / 1e6
        sys.stdout.write(
            f"{page.name}: {size:.1f} MB, first picture {first:.2f} s, ready {ready:.2f} s, CPU {seconds:.2f} s\n"
        )


def measure(page: Path) -> tuple[float, float, float]:
    """Seconds to the first picture and to ready, by the page's clock, and CPU seconds of the browser for it."""
    with Browser() as browser:
        before = cpu_seconds(os.getpid())
        browser.call("Page.navigate", url=page.resolve().as_uri())
        browser.wait(READY)
        spent = cpu_seconds(os.getpid()) - before
        first, ready = browser.ask("[window.impulse.first_picture_ms, window.impulse.ready_ms]")
    return first / 1000, ready / 1000, spent


def cpu_seconds(process_id: int) -> float:
    """User and system seconds of a process and all below it, by /proc (Linux)."""
    total, children = 0.0, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        children.setdefault(int(parts[1]), []).append((int(folder.name), sum(map(int, parts[11:15]))))
    todo = [process_id]
    while todo:
        for child, ticks in children.get(todo.pop(), []):
            total += ticks
            todo.append(child)
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
