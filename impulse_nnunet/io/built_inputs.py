"""The record that build_inputs leaves in a raw data set: of what, and how, it was built."""

from __future__ import annotations

import json
import os
from pathlib import Path

RECORD = "inputs.json"


def find_inputs(dataset: str) -> dict[str, int]:
    """Data sets in nnUNet_raw that build_inputs made of a CT data set: kind of input -> ID; the lowest ID of each.

    ``_truth`` marks shapes that are ground truth; ``i`` has none.
    """
    found: dict[str, int] = {}
    for record in sorted(Path(os.environ["nnUNet_raw"]).glob(f"Dataset*/{RECORD}")):
        kind = kind_of_inputs(record.parent)
        settings = json.loads(record.read_text(encoding="utf-8")).get("settings", {})
        if kind is not None and Path(settings.get("ct", "")).name == dataset:
            found.setdefault(kind, int(record.parent.name[len("Dataset") :].split("_")[0]))
    return found


def kind_of_inputs(raw: Path) -> str | None:
    """``ibav``, ``ibav_truth``, ...: what build_inputs noted in a raw data set; None if it did not make it."""
    try:
        settings = json.loads((raw / RECORD).read_text(encoding="utf-8"))["settings"]
        kind = str(settings["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    needed = [
        name for name in ("bav", "lobes") if (name == "bav" and "bav" in kind) or (name == "lobes" and "l" in kind)
    ]
    sources = [settings.get(name, {}).get("source") for name in needed]
    return f"{kind}_truth" if sources and all(source == "ground_truth" for source in sources) else kind
