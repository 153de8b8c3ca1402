"""Show a training's epochs while it runs: ``python demo/follow.py LOG PROCESS_ID``."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path


def is_running(process: int) -> bool:
    """Whether a child of the calling shell still runs."""
    status = Path(f"/proc/{process}/stat")
    if status.exists():
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return not Path("/proc").is_dir()


def main() -> None:
    """Print the lines that matter as they come."""
    log, process, shown = Path(sys.argv[1]), int(sys.argv[2]), 0
    wanted = re.compile(r"Template .*alone|Pseudo dice|Mean Validation Dice|Training done")
    while True:
        running = is_running(process)
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        found = [line.split(": ", 1)[-1] for line in lines if wanted.search(line)]
        for line in found[shown:]:
            sys.stdout.write(re.sub(r"np\.float64\(([\d.]+|nan)\)", r"\1", line) + "\n")
            sys.stdout.flush()
        shown = len(found)
        if not running:
            return
        time.sleep(2)


if __name__ == "__main__":
    main()
