"""A step: commands that make products, and the record that says what they were made from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.environment import FOLDERS
from impulse_nnunet.errors import InputError
from impulse_nnunet.files import write_json

NEW, BEGUN, CHANGED, DONE = "new", "begun", "changed", "done"
SUPERSEDED = "superseded"
HASHED_BYTES = 64 * 2**20  # larger files are told apart by size and time
CHUNK_BYTES = 2**20
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepState:
    """Where a step stands.

    Args:
        state: ``done``: nothing to do. ``begun``: interrupted, goes on. ``changed``: made from something else. ``new``.
        reason: What changed, in words; empty otherwise.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Step:
    """Commands with a memory.

    Args:
        name: Short, unique, fit for a file name.
        title: One line for people.
        commands: Installed commands with their arguments, run one after the other.
        record: JSON file, beside the product.
        facts: Tells what else decides the result, by name, as it is known when the steps before are done.
        sources: Files and folders whose content decides it too; what earlier steps made is known by their records.
        products: Paths that exist when the step is done.
        owned: What is set aside, in ``superseded/`` beside the record, before the step is made anew; where it is there
            without a record, it is someone else's and refused.
        after: Steps that this one builds on.
        go_on: Argument that makes the last command go on where an earlier call was interrupted.
        anew: Argument that makes it replace what it made from something else, where nothing is ``owned``.
    """

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    record: Path
    facts: Callable[[], Mapping[str, Any]] = dict
    sources: tuple[Path, ...] = ()
    products: tuple[Path, ...] = ()
    owned: tuple[Path, ...] = ()
    after: tuple[Step, ...] = ()
    go_on: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()

    def key(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON gives it back."""
        versions = {name: version(name) for name in ("nnunetv2", "torch")}
        content = {
            "commands": [[by_variables(part) for part in command] for command in self.commands],
            "settings": dict(self.facts()),
            "sources": {by_variables(str(path)): stamp(path) for path in self.sources},
            "versions": {"impulse_nnunet": __version__, **versions},
            "after": {step.name: step.digest() for step in self.after},
        }
        return json.loads(json.dumps(content))

    def digest(self) -> str:
        """A short name of what the step's product was made from; of a step that is not done, an empty text."""
        record = self.read()
        if record.get("state") != DONE:
            return ""
        return hashlib.sha256(json.dumps(record["key"], sort_keys=True).encode()).hexdigest()[:16]

    def state(self) -> StepState:
        """Compare the record with what is wanted now."""
        record = self.read()
        if not record:
            return StepState(NEW)
        wanted, found = self.key(), dict(record.get("key", {}))
        changed = list(_differences(found, wanted))
        if changed:
            return StepState(CHANGED, ", ".join(changed[:3]) + (" and more" if len(changed) > 3 else ""))
        missing = next((path for path in self.products if not path.exists()), None)
        if record.get("state") == DONE and missing is not None:
            return StepState(CHANGED, f"{missing.name} is gone")
        return StepState(DONE if record.get("state") == DONE else BEGUN)

    def read(self) -> dict[str, Any]:
        """The record; empty if there is none."""
        try:
            content = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def begin(self, state: StepState) -> tuple[str, ...]:
        """Set aside what was made from something else, and note that the step has begun.

        Returns:
            Further arguments of the last command.

        Raises:
            InputError: Products are there that no step made.
        """
        foreign = next((path for path in self.owned if path.exists()), None)
        if state.state == NEW and foreign is not None:
            raise InputError(
                str(foreign), "a result that this command did not make", "none",
                "use it by its own flag, choose other names or IDs, or move it away",
            )  # fmt: skip
        if state.state == CHANGED:
            self._set_aside()
        if state.state == BEGUN and not self.go_on:
            for path in self.owned:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        anew = state.state == CHANGED or bool(self.read().get("anew"))
        write_json({"state": BEGUN, "key": self.key(), "anew": anew}, self.record)
        if anew and self.anew:
            return self.anew
        return self.go_on if state.state == BEGUN else ()

    def _set_aside(self) -> None:
        """Days of training are not deleted because a setting was changed."""
        found = [path for path in self.owned if path.exists()]
        if found:
            place = self.record.parent / SUPERSEDED / f"{time.strftime('%Y%m%d_%H%M%S')}_{self.name}"
            place.mkdir(parents=True, exist_ok=True)
            for path in found:
                shutil.move(path, place / path.name)
            shutil.copy2(self.record, place / self.record.name)
            logger.info("%s: the earlier result was moved to %s", self.title, place)

    def finish(self, seconds: float) -> None:
        """Note that the step is done.

        Raises:
            InputError: A product is missing.
        """
        missing = next((path for path in self.products if not path.exists()), None)
        if missing is not None:
            raise InputError(self.title, f"no {missing} after its commands", "that product", "see its log")
        finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        key = dict(self.read().get("key", {}))
        write_json({"state": DONE, "key": key, "seconds": round(seconds, 1), "finished": finished}, self.record)


def stamp(path: Path) -> str:
    """What tells a file or a folder from a changed one: the content of a file; names, sizes and times in a folder."""
    if path.is_dir():
        rows = sorted(_rows(path))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    if not path.is_file():
        return "absent"
    size = path.stat().st_size
    if size > HASHED_BYTES:
        return f"{size} bytes of {path.stat().st_mtime_ns}"
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def by_variables(text: str) -> str:
    """Paths in nnU-Net's folders by their variables, as one would type them; so the folders may be moved."""
    for name in FOLDERS:
        if os.environ.get(name):
            text = text.replace(f"{os.environ[name]}/", f"${name}/")
    return text


def _rows(folder: Path) -> Iterator[list[Any]]:
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            if not name.startswith(".") and path.is_file():
                yield [str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns]


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Names of the entries that differ, one level down."""
    for part in wanted:
        a, b = found.get(part), wanted[part]
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            names = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
            yield from (f"{part}: {name}" for name in names)
        else:
            yield part
