"""What a run has done, with which settings and versions: the reason to skip a step, or to do it again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.files import write_json

STEPS = ("train", "predict", "evaluate")
RECORD = "run.json"


class Record:
    """The record of one run.

    Args:
        folder: Where run.json lies.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.steps: dict[str, Any] = {}
        try:
            self.steps = dict(json.loads(self.path.read_text(encoding="utf-8"))["steps"])
        except (OSError, ValueError, KeyError, TypeError):
            self.steps = {}

    def is_done(self, step: str, inputs: Mapping[str, Any]) -> bool:
        """Whether a step came to its end with these inputs."""
        return self.was_begun(step, inputs) and self.steps[step].get("result") is not None

    def was_begun(self, step: str, inputs: Mapping[str, Any]) -> bool:
        """Whether a step was begun with these inputs."""
        return step in self.steps and self.steps[step]["inputs"] == _plain(inputs)

    def differing(self, step: str, inputs: Mapping[str, Any]) -> list[str]:
        """Names of the inputs that are not those of the record; empty without a record."""
        if step not in self.steps:
            return []
        return sorted(_differences(self.steps[step]["inputs"], _plain(inputs)))

    def result(self, step: str) -> dict[str, Any]:
        """What a step left; empty if it was not done."""
        return dict(self.steps.get(step, {}).get("result") or {})

    def begin(self, step: str, inputs: Mapping[str, Any]) -> None:
        """Note that a step begins; what follows it is no longer valid."""
        self.steps = {name: self.steps[name] for name in STEPS[: STEPS.index(step)] if name in self.steps}
        self.steps[step] = {"inputs": _plain(inputs), "result": None}
        self._write()

    def finish(self, step: str, result: Mapping[str, Any]) -> None:
        """Note that the step that was begun is done."""
        self.steps[step]["result"] = _plain(result)
        self._write()

    def forget(self) -> None:
        """Nothing is valid any more."""
        self.steps = {}
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_json({"steps": self.steps}, self.path)


def versions() -> dict[str, str]:
    """Of what decides the numbers."""
    packages = {name: version(name) for name in ("nnunetv2", "torch", "numpy")}
    return {"impulse_nnunet": __version__, **packages, "python": platform.python_version()}


def fingerprint(folders: Iterable[Path]) -> str:
    """Digest of the names and sizes of the files in folders; ``none`` if there is no file."""
    files = [
        (folder.name, file.name, file.stat().st_size)
        for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()) if file.is_file()
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16] if files else "none"


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    return dict(json.loads(json.dumps(content)))


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in {*old, *new}:
            found += _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if old == new else [where]
