"""A step: commands that make products, with a record of what they were made from."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impulse_nnunet import __version__
from impulse_nnunet.errors import InputError
from impulse_nnunet.jobs.content import by_variables
from impulse_nnunet.jobs.process import SHORT_PATIENCE_S
from impulse_nnunet.jobs.record import BEGUN, CHANGED, NEW, Inputs, Record, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
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
        owned: What is set aside, in ``superseded/`` beside the record, before the step is done again; where it is there
            without a record, it is someone else's and refused.
        after: Steps that this one builds on.
        resume_flags: Make the last command go on where an earlier call was interrupted.
        replace_flags: Make it replace what it made from something else, where nothing is ``owned``.
        patience_s: That a command gets to save its state when it is asked to stop.
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
    resume_flags: tuple[str, ...] = ()
    replace_flags: tuple[str, ...] = ()
    patience_s: float = SHORT_PATIENCE_S

    def inputs(self) -> Inputs:
        """Everything that decides the result."""
        versions = {name: version(name) for name in ("nnunetv2", "torch")}
        settings = {
            "commands": [[by_variables(part) for part in command] for command in self.commands],
            "settings": dict(self.facts()),
            "versions": {"impulse_nnunet": __version__, **versions},
            "after": {step.name: Record(step.record).digest() for step in self.after},
        }
        return Inputs(settings, {by_variables(str(path)): path for path in self.sources})

    def status(self) -> Status:
        """Compare the record with what is wanted now."""
        return Record(self.record).status(self.inputs(), self.products)

    def begin(self, status: Status) -> tuple[str, ...]:
        """Set aside what was made from something else, and note that the step has begun.

        Returns:
            Further arguments of the last command.

        Raises:
            InputError: Products are there that no step made.
        """
        record = Record(self.record)
        foreign = next((path for path in self.owned if path.exists()), None)
        if status.state == NEW and foreign is not None:
            raise InputError(
                str(foreign),
                "a result that this command did not make",
                "none",
                "use it by its own flag, choose other names or IDs, or move it away",
            )
        if status.state == CHANGED:
            place = record.set_aside(self.owned, self.name)
            if place is not None:
                logger.info("%s: the earlier result was moved to %s", self.title, place)
        if status.state == BEGUN and not self.resume_flags:
            for path in self.owned:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        replaces = status.state == CHANGED or bool(record.read().get("replaces"))
        record.begin(self.inputs(), replaces=replaces)
        if replaces and self.replace_flags:
            return self.replace_flags
        return self.resume_flags if status.state == BEGUN else ()

    def finish(self, seconds: float) -> None:
        """Note that the step is done.

        Raises:
            InputError: A product is missing.
        """
        missing = next((path for path in self.products if not path.exists()), None)
        if missing is not None:
            raise InputError(self.title, f"no {missing} after its commands", "that product", "see its log")
        Record(self.record).finish({"seconds": round(seconds, 1)})
