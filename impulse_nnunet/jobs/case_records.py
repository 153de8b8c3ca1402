"""Records of the cases of a folder, a file for each: what resumes a command that works case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.jobs.content import digest_of
from impulse_nnunet.jobs.record import BEGUN, DONE, Inputs, Record

RECORDS = "records"  # usual name of their folder


class CaseRecords:
    """``FOLDER/CASE.json`` for each case; several processes may work on different cases.

    Args:
        folder: Of the records.
        settings: What decides the results of all cases, besides their own files.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._settings = {"settings": digest_of(settings)}

    def is_made(self, case: str, sources: Sequence[Path], products: Sequence[Path]) -> bool:
        """Whether the products are there, made with these settings from these files as they are now.

        Products that lie there since :meth:`begin`, which removed earlier ones, count as well: the caller sees to it
        that files appear only when they are whole.
        """
        record, inputs = self._record(case), self._inputs(sources)
        state = record.status(inputs).state
        if state == BEGUN:
            return all(file.is_file() for file in products)
        return state == DONE and record.products_are_unchanged(products)

    def is_begun(self, case: str) -> bool:
        """Whether work on a case was begun and not finished, whatever it was made from."""
        return self._record(case).read().get("state") == BEGUN

    def begin(self, case: str, sources: Sequence[Path], products: Sequence[Path]) -> None:
        """Remove a case's products, and note what the next ones are made from; call before the sources are read."""
        for file in products:
            file.unlink(missing_ok=True)
        self._record(case).begin(self._inputs(sources))

    def finish(self, case: str, products: Sequence[Path]) -> None:
        """Note the products of a case that was begun."""
        self._record(case).finish(products=products)

    def _record(self, case: str) -> Record:
        return Record(self.folder / f"{case}.json")

    def _inputs(self, sources: Sequence[Path]) -> Inputs:
        return Inputs(self._settings, {str(number): path for number, path in enumerate(sources)})
