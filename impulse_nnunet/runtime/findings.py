"""What is noted of a case while it is predicted: it stops nothing, and whoever reads the labels must know it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was noted.

    Args:
        kind: A word for programs, e.g. ``mirrored`` or ``region_enlarged``.
        text: One line for people, without the case's name.
    """

    kind: str
    text: str


class Findings:
    """The findings of a run, by case; threads may add to them. What work that is repeated finds twice counts once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, list[Finding]] = {}

    def add(self, case: str, found: Iterable[Finding]) -> list[Finding]:
        """Note findings of a case; returns those that are new."""
        with self._lock:
            known = self._found.setdefault(case, [])
            new = [finding for finding in dict.fromkeys(found) if finding not in known]
            known += new
        return new

    def of(self, case: str) -> tuple[Finding, ...]:
        """All findings of a case, in the order in which they were noted."""
        with self._lock:
            return tuple(self._found.get(case, ()))

    def forget(self, case: str) -> None:
        """Drop what was noted of a case, which is going to be predicted again."""
        with self._lock:
            self._found.pop(case, None)
