"""A made-up clock; expected seconds are worked out by hand."""

import datetime

import pytest

from impulse_nnunet.trainers.pace import Pace, Schedule

SCHEDULE = Schedule(epochs=10, iterations=100, validation_iterations=4)


class Clock:
    def __init__(self):
        self.time = datetime.datetime(2026, 3, 1, 12, 0).timestamp()

    def __call__(self):
        return self.time


def pace_of(minutes, steps=0, seconds=2.0):
    clock = Clock()
    pace = Pace(minutes, SCHEDULE, clock)
    pace.start()
    for _ in range(steps):
        make_step(pace, clock, seconds)
    return pace, clock


def make_step(pace, clock, seconds=2.0):
    clock.time += seconds
    pace.step_made()


def test_without_a_limit_the_steps_decide():
    pace, clock = pace_of(0, steps=3)
    clock.time += 1e6
    assert not pace.is_over
    assert not pace.is_past
    assert [pace.progress(share) for share in (0, 0.25, 1, 2)] == [0, 0.25, 1, 1]


def test_no_step_begins_that_would_end_too_late_and_the_last_one_gets_the_end_of_the_schedule():
    # 60 s, 4 validation batches of 1 s (half a step) are kept free: steps may last until 56 s, 28 of them fit
    pace, clock = pace_of(1)
    shares, made = [], 0
    while not pace.is_over:
        shares.append(pace.progress(0.0))
        make_step(pace, clock)
        made += 1
    assert made == 28
    assert pace.seconds == 56
    assert shares[:3] == [0, 2 / 56, 4 / 56]
    assert shares[-2] < 1
    assert shares[-1] == 1


def test_a_measured_validation_takes_the_place_of_the_expected_one():
    pace, clock = pace_of(1, steps=1)
    pace.begin()
    clock.time += 3
    pace.validated(2)  # of 4: 6 s for a whole one
    assert pace.epoch_validation_s == 6
    assert pace.usable_s == 54


def test_a_validation_longer_than_the_minutes_leaves_half_of_them_to_the_steps():
    pace, _ = pace_of(1, steps=1, seconds=60)
    assert pace.usable_s == 30


def test_more_steps_than_minutes_end_by_the_minutes_and_fewer_by_the_steps():
    pace, _ = pace_of(1, steps=14)  # 28 of 56 s
    assert pace.progress(0.1) == 0.5
    assert pace.progress(0.9) == 0.9


def test_time_of_before_an_interruption_counts_and_what_is_left_out_does_not():
    pace, _ = pace_of(1, steps=5)
    pace.before_s = 40
    assert pace.seconds == 50
    pace.leave_out(6)
    assert pace.seconds == 44


def test_a_clock_that_stands():
    clock = Clock()
    pace = Pace(1, SCHEDULE, clock)
    clock.time += 600
    assert pace.seconds == 0
    assert not pace.is_over
    pace.start()
    clock.time += 30
    assert pace.seconds == 30
    assert pace.share_used(0.5) == 1


def test_lines_come_at_the_fifth_step_and_then_every_minute():
    pace, clock = pace_of(0)
    found = []
    for step in range(1, 101):
        make_step(pace, clock)
        found += [step] * (pace.line(0, step) is not None)
    assert found == [5, 35, 65, 95]  # 30 steps of 2 s are a minute


def test_the_expected_end_by_steps_and_by_the_clock():
    # 10 epochs of 100 steps of 2 s and 4 batches of 1 s: 2040 s, less the 10 s of the 5 steps made at 12:00:10
    pace, _ = pace_of(0, steps=5)
    line = "Step 5 of 100: 2.00 s a step, training ends about 2026-03-01 12:34 (in 34 min), the validation of its cases"
    assert pace.line(0, 5).startswith(line)
    assert pace.expectation(9, 95).startswith("training ends about 2026-03-01 12:00 (in 14 s)")
    limited, _ = pace_of(4, steps=5)
    assert limited.expectation(0, 5).startswith("training ends about 2026-03-01 12:04 (in 4 min)")
    assert "(in 5.7 h)" in pace_of(0, steps=1, seconds=20)[0].expectation(0, 0)


@pytest.mark.parametrize("steps", [1, 2, 20, 30])
def test_a_step_takes_the_mean_of_the_last_twenty(steps):
    pace, clock = pace_of(0, steps=10, seconds=100)
    for _ in range(steps):
        make_step(pace, clock)
    slow = max(0, min(10, 20 - steps))
    fast = min(steps, 20)
    assert pace.step_s == pytest.approx((100 * slow + 2 * fast) / (slow + fast))
