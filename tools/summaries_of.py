"""The scores of a table's runs, for ``impulse_nnunet compare``: ``python tools/summaries_of.py STUDY.JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(study: Path) -> str:
    """The summaries that there are, with a comma between two."""
    runs = json.loads(study.read_text(encoding="utf-8"))["runs"]
    return ",".join(run["summary"] for run in runs if Path(run["summary"]).is_file())


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))
