"""Two result files of ``benchmarks.bench`` side by side: ``python -m benchmarks.compare OLD.json NEW.json``.

Rows whose seconds or peak memory grew by 20 % or more are marked; the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORSE = 1.2
SMALLEST_PEAK_MIB = 64  # below it a change of memory says nothing


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    old, new = ({row["name"]: row for row in json.loads(file.read_text())} for file in (options.old, options.new))
    lines, worse = compare(old, new)
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if worse else 0


def compare(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Markdown lines, and the names of the rows that became worse."""
    lines, worse = ["| row | seconds | before | peak MiB | before | |", "|---|---|---|---|---|---|"], []
    for name, row in new.items():
        if name not in old:
            lines.append(f"| {name} | {row['seconds']:.3g} | | {row['peak_mib']:.0f} | | new |")
            continue
        before, marks = old[name], []
        if row["seconds"] >= WORSE * before["seconds"]:
            marks.append("SLOWER")
        if row["peak_mib"] >= WORSE * max(before["peak_mib"], SMALLEST_PEAK_MIB):
            marks.append("LARGER")
        worse += [name] if marks else []
        figures = f"{row['seconds']:.3g} | {before['seconds']:.3g} | {row['peak_mib']:.0f} | {before['peak_mib']:.0f}"
        lines.append(f"| {name} | {figures} | {' '.join(marks)} |")
    lines += [
        f"| {name} | | {old[name]['seconds']:.3g} | | {old[name]['peak_mib']:.0f} | gone |"
        for name in old
        if name not in new
    ]
    return lines, worse


if __name__ == "__main__":
    sys.exit(main())
