"""Errors that a user can mend: one line each, with what was found, what was expected and what to do."""

from __future__ import annotations

import os
import sys
from types import TracebackType

USER_ERROR = 2  # exit code
TRACEBACK_VARIABLE = "IMPULSE_NNUNET_TRACEBACK"


class InputError(ValueError):
    """Bad input from a user.

    Args:
        subject: The case identifier, file or setting that is at fault.
        found: What was found there.
        expected: What was expected.
        remedy: What the user can do.
    """

    def __init__(self, subject: str, found: str, expected: str, remedy: str) -> None:
        self.subject, self.found, self.expected, self.remedy = subject, found, expected, remedy
        super().__init__(subject, found, expected, remedy)

    def __str__(self) -> str:
        return f"{self.subject}: found {self.found}, expected {self.expected}; {self.remedy}".replace("\n", " ")


class CasesFailedError(Exception):
    """Some cases of a folder failed; the others were done.

    Args:
        failures: Case identifier -> the one-line reason.
        number_of_cases: How many cases were tried in all.
    """

    def __init__(self, failures: dict[str, str], number_of_cases: int) -> None:
        self.failures, self.number_of_cases = failures, number_of_cases
        super().__init__(failures, number_of_cases)

    def __str__(self) -> str:
        lines = [f"{len(self.failures)} of {self.number_of_cases} cases failed:"]
        return "\n".join(lines + [f"  {reason}" for reason in self.failures.values()])


def install_one_line_errors() -> None:
    """Make uncaught user errors print one line and exit with code 2, in nnU-Net's commands too.

    Every other exception goes to the hook that was there. ``IMPULSE_NNUNET_TRACEBACK=1`` shows the traceback.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, InputError | CasesFailedError) or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, trace)
            return
        sys.stderr.write(f"impulse_nnunet: {error}\n")
        raise SystemExit(USER_ERROR)

    sys.excepthook = hook
