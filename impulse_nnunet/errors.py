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
INTERRUPTED = 130  # that shells report for Ctrl-C
INTERRUPTED_LINE = "ended by Ctrl-C"
TRACEBACK_VARIABLE = "IMPULSE_NNUNET_TRACEBACK"
SETTING = re.compile(r"`([a-z]\w*)`")

NameOf = Callable[[str], str | None]
"""What the user calls a setting; None for a setting that has no other name."""

Explain = Callable[[BaseException], "InputError | None"]
"""What an exception of another package means to a user; None where only its traceback can tell."""

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


def install_one_line_errors(name_of: NameOf | None = None, explain: Explain = lambda error: None) -> None:
    """Make uncaught user errors and Ctrl-C print one line, in nnU-Net's commands too; exit codes 2 and 130.

    Every other exception goes to the hook that was there. ``IMPULSE_NNUNET_TRACEBACK=1`` shows the traceback.

    Args:
        name_of: What the command's user calls a setting, from now on, unless a command has said it.
        explain: What else can be said in one line.
    """
    global _name_of
    _name_of = _name_of or name_of
    if sys.excepthook.__name__ == "one_line_hook":
        return
    previous = sys.excepthook

    def one_line_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        line = _line_of(error, trace, explain)
        if line is None or os.environ.get(TRACEBACK_VARIABLE):
            previous(kind, error, trace)
            return
        sys.stderr.write(f"impulse_nnunet: {with_users_names(line)}\n")
        raise SystemExit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else USER_ERROR)

    sys.excepthook = one_line_hook


def _line_of(error: BaseException, trace: TracebackType | None, explain: Explain) -> str | None:
    """What to say of an uncaught exception in one line, if that is enough."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED_LINE
    if isinstance(error, InputError | CasesFailedError):
        return str(error)
    if isinstance(error, NotImplementedError) and _raised_here(trace):
        return str(error)
    explained = explain(error)
    return None if explained is None else str(explained)


def _raised_here(trace: TracebackType | None) -> bool:
    """Whether a module of this package raised, so that the text is for users."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(__package__ or "")
