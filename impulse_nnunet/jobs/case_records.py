"""Records of the cases of a folder, a file for each: what resumes a command that works case by case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from impulse_nnunet.jobs.content import Contents, digest_of
from impulse_nnunet.jobs.record import BEGUN, DONE, Inputs, Record

RECORDS = "records"  # usual name of their folder
Result = TypeVar("Result")


class CaseRecords:
    """``FOLDER/CASE.json`` for each case; several processes may work on different cases.

    Args:
        folder: Folder of the records.
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

    def resume(
        self,
        cases: Mapping[str, Sequence[Path]],
        products: Callable[[str], Sequence[Path]],
        work: Callable[[list[str]], Result],
        start_over: bool = False,
    ) -> Result:
        """Do what no record proves done.

        Args:
            cases: Case -> its sources.
            products: Tells the files of a case; each appears only when it is whole.
            work: Makes the products of some cases, perhaps of none; may fail when some of them are made.
            start_over: Do all cases.

        Returns:
            What ``work`` returns.
        """
        todo = [case for case in cases if start_over or not self.is_made(case, cases[case], products(case))]
        for case in todo:
            self.begin(case, cases[case], products(case))
        try:
            return work(todo)
        finally:
            for case in cases:
                if self.is_begun(case) and all(file.is_file() for file in products(case)):
                    self.finish(case, products(case))

    def _record(self, case: str) -> Record:
        return Record(self.folder / f"{case}.json")

    def _inputs(self, sources: Sequence[Path]) -> Inputs:
        return Inputs(self._settings, {str(number): path for number, path in enumerate(sources)})


def model_identity(folder: Path, folds: Sequence[int | str], checkpoint: str) -> dict[str, str]:
    """Which trained model this is, by the content of its files, wherever it lies.

    Args:
        folder: TRAINER__PLANS__CONFIGURATION.
        folds: That are used.
        checkpoint: Name of the folds' files.
    """
    contents = Contents()
    names = ("plans.json", "dataset.json", *(f"fold_{fold}/{checkpoint}" for fold in folds))
    return {name: contents.digest(folder / name) for name in names}
