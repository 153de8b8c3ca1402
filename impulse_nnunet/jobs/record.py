"""The record of a result: what it was made from, by content, and whether it was finished. The reason to keep it or not.

All commands that resume ask this one question of this one kind of file: the steps of a pipeline, the runs of a table,
the cases of preprocessing, of built inputs and of predictions. A damaged record, or one in another form,
proves nothing.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.content import Contents, Notes, are_unchanged, digest_of, note_files

NEW, BEGUN, CHANGED, DONE = "new", "begun", "changed", "done"
SUPERSEDED = "superseded"
FORMAT = 2
MOST_REASONS = 3


@dataclass(frozen=True)
class Inputs:
    """What decides a result.

    Args:
        settings: Anything that JSON can hold, by name.
        sources: Name -> file or folder whose content decides it too.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Path] = field(default_factory=dict)

    def read(self, noted: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], Notes]:
        """Settings and digests as JSON gives them back, and notes of the files; see :class:`Contents`."""
        contents = Contents(noted)
        digests = {name: contents.digest(path) for name, path in self.sources.items()}
        return json.loads(json.dumps({**self.settings, "sources": digests})), contents.notes


@dataclass(frozen=True)
class Status:
    """Where a result stands.

    Args:
        state: ``done``: nothing to do. ``begun``: interrupted. ``changed``: made from something else. ``new``: no
            record.
        reason: What changed, in words; empty otherwise.
    """

    state: str
    reason: str = ""


class Record:
    """The record of one result.

    Args:
        path: JSON file.
        completed: Adds to the inputs of a record of before what it could not know, where that has a default with which
            the result is the same; as they are by default.
    """

    def __init__(self, path: Path, completed: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> None:
        self.path, self.completed = path, completed

    def read(self) -> dict[str, Any]:
        """Its content; empty if there is none that can be read."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) and content.get("format") == FORMAT else {}

    def status(self, inputs: Inputs, products: Sequence[Path] = ()) -> Status:
        """Compare the record with what is wanted now.

        Args:
            inputs: What decides the result now.
            products: Files or folders that have to exist for the result to be done.
        """
        content = self.read()
        if not content:
            return Status(CHANGED, "its record has another form") if self.path.is_file() else Status(NEW)
        wanted, _ = inputs.read(content.get("notes"))
        changed = list(_differences(self.completed(content.get("inputs", {})), wanted))
        if changed:
            more = " and more" if len(changed) > MOST_REASONS else ""
            return Status(CHANGED, ", ".join(changed[:MOST_REASONS]) + more)
        if content.get("state") != DONE:
            return Status(BEGUN)
        missing = next((path for path in products if not path.exists()), None)
        return Status(DONE) if missing is None else Status(CHANGED, f"{missing.name} is gone")

    def begin(self, inputs: Inputs, **more: Any) -> None:
        """Note that work on the result begins; ``more`` are further entries."""
        wanted, notes = inputs.read(self.read().get("notes"))
        write_json({"format": FORMAT, "state": BEGUN, "inputs": wanted, "notes": notes, **more}, self.path)

    def finish(self, result: Mapping[str, Any] | None = None, products: Sequence[Path] = ()) -> None:
        """Note that the work that was begun is done.

        Args:
            result: What to remember of it.
            products: Files whose content belongs to the result; see :meth:`products_are_unchanged`.
        """
        content = {name: self.read().get(name) for name in ("format", "inputs", "notes")}
        content |= {"state": DONE, "result": dict(result or {}), "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_json(content | {"products": note_files(products)}, self.path)

    def products_are_unchanged(self, products: Sequence[Path]) -> bool:
        """Whether the files are those that :meth:`finish` noted."""
        return are_unchanged(self.read().get("products"), products)

    def result(self) -> dict[str, Any]:
        """What was remembered of a finished result; else empty."""
        return dict(self.read().get("result") or {})

    def digest(self) -> str:
        """A short name of what a finished result was made from; else an empty text."""
        content = self.read()
        return digest_of(content["inputs"]) if content.get("state") == DONE else ""

    def forget(self) -> None:
        """Remove the record."""
        self.path.unlink(missing_ok=True)

    def set_aside(self, paths: Sequence[Path], name: str) -> Path | None:
        """Move what was made from something else, with its record, to ``superseded``: days of training are not deleted.

        Returns:
            The folder that holds them now; None if there was nothing.
        """
        found = [path for path in paths if path.exists()]
        if not found:
            return None
        place = self.path.parent / SUPERSEDED / f"{time.strftime('%Y%m%d_%H%M%S')}_{name}"
        place.mkdir(parents=True, exist_ok=True)
        for path in found:
            shutil.move(path, place / path.name)
        if self.path.is_file():
            shutil.copy2(self.path, place / self.path.name)
        return place


def _differences(found: Any, wanted: Any, where: str = "", depth: int = 2) -> Iterator[str]:
    """Names of the entries that differ, ``depth`` levels down."""
    if found == wanted:
        return
    if not (isinstance(found, dict) and isinstance(wanted, dict) and depth):
        yield where
        return
    for name in sorted({*found, *wanted}):
        yield from _differences(found.get(name), wanted.get(name), f"{where}: {name}" if where else name, depth - 1)
