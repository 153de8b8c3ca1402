"""``prediction.json`` beside the labels of a prediction: what became of each case, and how it was made.

Each case has an entry of its own in ``records/entries``, written before its labels appear, so labels never lie there
without what was noted of them. ``prediction.json`` is put together from all entries, those of other shards and of
earlier calls included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from impulse_nnunet.io.files import write_json
from impulse_nnunet.jobs.case_records import RECORDS
from impulse_nnunet.jobs.content import digest_of
from impulse_nnunet.jobs.locks import locked
from impulse_nnunet.runtime.findings import Finding

PREDICTION_FILE = "prediction.json"
ENTRIES = "entries"
LEFT_OUT = Path("input") / "left_out.json"  # in a folder: a case may have any name
FORMAT = 1
INPUT = "input"  # entry of a run: where its images lie
OK, WARNED, FAILED = "ok", "warned", "failed"
NO_RECORD = Finding("no_record", "the labels are those of an earlier version, which kept no findings")


class PredictionFile:
    """The entries of one run's cases, and the file that joins all entries of a folder.

    Args:
        output: Folder of the labels.
        ending: Of the label maps.
        run: How the cases of this run are made: versions, model, settings; JSON.
        products: Tells the files that a case may have, of calls with other options too; by default its label map.
    """

    def __init__(
        self,
        output: Path,
        ending: str,
        run: Mapping[str, Any],
        products: Callable[[str], Sequence[Path]] | None = None,
    ) -> None:
        self.output, self.ending, self.run = output, ending, dict(run)
        self.folder = output / RECORDS / ENTRIES
        self._products = products or (lambda case: [output / f"{case}{ending}"])

    def begin(self, cases: Iterable[str]) -> None:
        """Drop the entries of cases that are going to be predicted; their files stay until there are new ones."""
        for case in cases:
            self._entry(case).unlink(missing_ok=True)
        self.join()

    def done(self, case: str, findings: Sequence[Finding], seconds: float | None = None) -> None:
        """Note a case that is predicted, and drop what earlier calls made of it; call it before its labels appear."""
        self._drop_products(case)
        self._write(case, WARNED if findings else OK, findings, seconds)

    def failed(self, case: str, reason: str, findings: Sequence[Finding] = (), seconds: float | None = None) -> None:
        """Note a case that has no labels, and why in one line; what an earlier call or a part of this one left goes."""
        self._drop_products(case)
        self._write(case, FAILED, findings, seconds, reason=reason)

    def kept(self, cases: Iterable[str]) -> None:
        """See to it that cases whose labels are kept from before have entries."""
        for case in cases:
            if not self._entry(case).is_file():
                self._write(case, WARNED, [NO_RECORD], None)

    def leave_out(self, input_folder: Path, files: Mapping[str, str]) -> None:
        """Note the files of the input folder that are not read (name -> why); replaces what was noted before."""
        path = self.output / RECORDS / LEFT_OUT
        if files or path.is_file():
            write_json({str(input_folder / name): why for name, why in files.items()}, path)

    def forget_failures(self, known: Collection[str]) -> None:
        """Drop cases that failed in a run of the same ``input``, which no longer holds them."""
        for path in self.folder.glob("*.json"):
            entry = {} if path.stem in known else _read(path)
            if entry.get("state") == FAILED and entry["run"].get(INPUT) == self.run.get(INPUT):
                path.unlink(missing_ok=True)

    def join(self) -> None:
        """Write ``prediction.json`` from all entries; cases whose labels are gone are left out of it."""
        with locked(self.output / RECORDS / f"{PREDICTION_FILE}.lock"):
            runs: dict[str, Any] = {}
            cases: dict[str, Any] = {}
            for path in sorted(self.folder.glob("*.json")):
                entry = _read(path)
                if not entry or (entry["state"] != FAILED and not (self.output / entry["file"]).is_file()):
                    continue
                run = entry.pop("run")
                entry["run"] = digest_of(run)[:12]
                runs[entry["run"]] = run
                cases[path.stem] = entry
            left_out = _read(self.output / RECORDS / LEFT_OUT)
            content = {"format": FORMAT, "cases": cases, "left_out": left_out, "runs": runs}
            write_json(content, self.output / PREDICTION_FILE)

    def _drop_products(self, case: str) -> None:
        for file in self._products(case):
            file.unlink(missing_ok=True)

    def _entry(self, case: str) -> Path:
        return self.folder / f"{case}.json"

    def _write(self, case: str, state: str, findings: Sequence[Finding], seconds: float | None, **more: str) -> None:
        entry = {
            "state": state,
            **more,
            "findings": [{"kind": finding.kind, "text": finding.text} for finding in findings],
            "seconds": None if seconds is None else round(seconds, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "file": f"{case}{self.ending}",
            "run": self.run,
        }
        write_json(entry, self._entry(case))


def _read(path: Path) -> dict[str, Any]:
    """Content of a small JSON file of ours; empty if there is none, or a damaged one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def findings_of(output: Path) -> dict[str, list[Finding]]:
    """Findings of each case of a folder of labels, by its ``prediction.json``; none without one."""
    cases = _read(output / PREDICTION_FILE).get("cases", {})
    return {case: [Finding(**found) for found in entry["findings"]] for case, entry in cases.items()}
