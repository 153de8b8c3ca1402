"""How fast a training is: what is left of its minutes, how far its learning rate has come, and what the log says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import time

LINE_EVERY_S = 60.0
FIRST_LINE_AT = 5  # steps of this process, the first of which are slower than the others
RECENT = 20  # steps whose mean tells how long the next one takes
FORWARD = 0.5  # of a step's time that a validation batch takes at most, before one was measured
LARGEST_RESERVE = 0.5  # share of the minutes that an epoch's validation may claim


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How many steps a training has by its settings.

    Args:
        epochs: Of the training.
        iterations: Steps of an epoch.
        validation_iterations: Batches of an epoch's validation.
    """

    epochs: int
    iterations: int
    validation_iterations: int


class Pace:
    """The clock of a training.

    Under a limit no step begins that would not end in time, with room for the epoch's validation; the step before that
    is the last and gets the schedule's end.

    Args:
        minutes: Wall-clock limit; 0: none.
        schedule: Steps by the settings.
        now: The clock, in seconds.
    """

    def __init__(self, minutes: float, schedule: Schedule, now: Callable[[], float] = time) -> None:
        self.limit_s, self.schedule, self.now = 60 * minutes, schedule, now
        self.before_s = 0.0  # of before an interruption
        self.started: float | None = None  # the clock stands until then
        self.durations: deque[float] = deque(maxlen=RECENT)
        self.validation_s: float | None = None  # of a whole epoch's validation
        self.mark = self.last_line = now()
        self.steps = 0  # of this process

    def start(self) -> None:
        """Let the clock run, if it stands."""
        self.started = self.now() if self.started is None else self.started

    def leave_out(self, seconds: float) -> None:
        """Do not count these."""
        if self.started is not None:
            self.started += seconds

    @property
    def seconds(self) -> float:
        """What counts so far."""
        return self.before_s + (0.0 if self.started is None else self.now() - self.started)

    @property
    def step_s(self) -> float:
        """How long a step takes, its batch included; 0 before the first."""
        return sum(self.durations) / len(self.durations) if self.durations else 0.0

    @property
    def epoch_validation_s(self) -> float:
        """How long an epoch's validation takes, measured or expected from its steps."""
        expected = FORWARD * self.step_s * self.schedule.validation_iterations
        return expected if self.validation_s is None else self.validation_s

    def begin(self) -> None:
        """Steps, or batches of a validation, follow."""
        self.mark = self.now()

    def step_made(self) -> None:
        """Note the end of a step."""
        self.durations.append(self.now() - self.mark)
        self.steps += 1
        self.mark = self.now()

    def validated(self, batches: int) -> None:
        """Note the end of an epoch's validation, of so many batches."""
        if batches:
            self.validation_s = (self.now() - self.mark) * self.schedule.validation_iterations / batches

    @property
    def usable_s(self) -> float:
        """Until when steps may last."""
        return self.limit_s - min(self.epoch_validation_s, LARGEST_RESERVE * self.limit_s)

    @property
    def is_over(self) -> bool:
        """Whether the next step would end too late."""
        return self.limit_s > 0 and self.seconds + self.step_s > self.usable_s

    @property
    def is_past(self) -> bool:
        """Whether the minutes themselves are over."""
        return 0 < self.limit_s <= self.seconds

    def progress(self, share: float) -> float:
        """Share of the training that is done, 0 to 1, when a step begins.

        Args:
            share: Of the settings' steps.
        """
        if self.limit_s <= 0:
            return min(share, 1.0)
        if self.durations and self.seconds + 2 * self.step_s > self.usable_s:
            return 1.0  # the last one
        return min(max(share, self.seconds / self.usable_s), 1.0)

    def share_used(self, part: float) -> float:
        """How much of a part of the minutes is used up; 0 without a limit."""
        return self.seconds / (part * self.limit_s) if self.limit_s > 0 else 0.0

    def line(self, epoch: int, step: int) -> str | None:
        """What to say after ``step`` steps of an epoch; None where a line came lately."""
        if self.steps != FIRST_LINE_AT and self.now() - self.last_line < LINE_EVERY_S:
            return None
        self.last_line = self.now()
        return f"Step {step} of {self.schedule.iterations}: {self.step_s:.2f} s a step, {self.expectation(epoch, step)}"

    def expectation(self, epoch: int, step: int) -> str:
        """When the training is expected to end, after ``step`` steps of an epoch."""
        schedule = self.schedule
        epochs = schedule.epochs - epoch
        steps = epochs * schedule.iterations - step
        left = steps * self.step_s + epochs * self.epoch_validation_s
        if self.limit_s > 0:
            left = min(left, max(0.0, self.limit_s - self.seconds))
        end = datetime.fromtimestamp(self.now()) + timedelta(seconds=left)
        return f"training ends about {end:%Y-%m-%d %H:%M} (in {_duration(left)}), the validation of its cases follows"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
