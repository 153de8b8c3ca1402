"""Make a data set whose fold 0 trains on the training cases of another and validates on its test cases.

Usage: ``python tools/one_fold.py SOURCE_RAW_FOLDER TARGET_RAW_FOLDER PREPROCESSED_FOLDER``. A training then predicts
the test cases itself, which saves ``make results`` a process a run. Files are linked where the file system can.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from impulse_nnunet.io.files import link_whole, write_json


def main(source: Path, target: Path, preprocessed: Path) -> None:
    """Link the files, write dataset.json and splits_final.json."""
    content = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    ending = content["file_ending"]
    split = {
        name: sorted(path.name.removesuffix(ending) for path in (source / f"labels{part}").glob(f"*{ending}"))
        for name, part in (("train", "Tr"), ("val", "Ts"))
    }
    for kind in ("images", "labels"):
        for part in ("Tr", "Ts"):
            for file in (source / f"{kind}{part}").iterdir():
                link_whole(file, target / f"{kind}Tr" / file.name)
    for file in (source / "trees").rglob(f"*{ending}"):
        link_whole(file, target / file.relative_to(source))
    write_json(content | {"numTraining": sum(map(len, split.values()))}, target / "dataset.json")
    write_json([split], preprocessed / "splits_final.json")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
