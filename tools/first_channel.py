"""A raw data set with the first channel alone of another: ``python tools/first_channel.py SOURCE TARGET``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from impulse_nnunet.io.files import link_whole, write_json


def main(source: Path, target: Path) -> None:
    """Link the images of channel 0 and the labels, and write a dataset.json that fits."""
    content = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    content["channel_names"] = {"0": content["channel_names"]["0"]}
    ending = content["file_ending"]
    for folder, pattern in (("imagesTr", f"*_0000{ending}"), ("labelsTr", f"*{ending}")):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for path in sorted((source / folder).glob(pattern)):
            if not (target / folder / path.name).exists():
                link_whole(path.resolve(), target / folder / path.name)
    write_json(content, target / "dataset.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
