"""Errors that a user can fix: one line each, with what was found, what was expected and what to do.

Messages name a setting by its argument, in backticks, e.g. `` `processes` ``; the command line shows its flag instead.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

USER_ERROR = 2  # exit code
TRACEBACK_VARIABLE = "IMPULSE_NNUNET_TRACEBACK"
SETTING = re.compile(r"`([a-z]\w*)`")

NameOf = Callable[[str], str | None]
"""What the user calls a setting; None for a setting that has no other name."""

_name_of: NameOf | None = None


def with_users_names(text: str) -> str:
    """A message with its settings named as the user gives them: by flags on the command line, unchanged in Python."""
    name_of = _name_of
    return text if name_of is None else SETTING.sub(lambda found: name_of(found[1]) or found[0], text)


@contextmanager
def settings_named(name_of: NameOf) -> Iterator[None]:
    """Name settings in messages by ``name_of`` while the block runs, in all threads of this process."""
    global _name_of
    before, _name_of = _name_of, name_of
    try:
        yield
    finally:
        _name_of = before


class InputError(ValueError):
    """Bad input from a user.

    Args:
        subject: The case identifier, file or setting (in backticks) that is at fault.
        found: What was found there.
        expected: What was expected.
        remedy: What the user can do.
    """

    def __init__(self, subject: str, found: str, expected: str, remedy: str) -> None:
        self.subject, self.found, self.expected, self.remedy = subject, found, expected, remedy
        super().__init__(subject, found, expected, remedy)

    def __str__(self) -> str:
        text = f"{self.subject}: found {self.found}, expected {self.expected}; {self.remedy}"
        return with_users_names(text.replace("\n", " "))


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
        return with_users_names("\n".join(lines + [f"  {reason}" for reason in self.failures.values()]))


def install_one_line_errors(name_of: NameOf | None = None) -> None:
    """Make uncaught user errors print one line and exit with code 2, in nnU-Net's commands too.

    Every other exception goes to the hook that was there. ``IMPULSE_NNUNET_TRACEBACK=1`` shows the traceback.

    Args:
        name_of: What the command's user calls a setting, from now on, unless a command has said it.
    """
    global _name_of
    _name_of = _name_of or name_of
    if sys.excepthook.__name__ == "one_line_hook":
        return
    previous = sys.excepthook

    def one_line_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, InputError | CasesFailedError) or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, trace)
            return
        sys.stderr.write(f"impulse_nnunet: {with_users_names(str(error))}\n")
        raise SystemExit(USER_ERROR)

    sys.excepthook = one_line_hook
