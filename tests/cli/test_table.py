import argparse
from pathlib import Path

import pytest

from impulse_nnunet.cli import table


def options_of(*arguments):
    parser = argparse.ArgumentParser()
    table.add_arguments(parser)
    return table._options(parser.parse_args(["-d", "803", "--table", "1", "-o", "study", "-device", "cpu", *arguments]))


def test_flags_become_options():
    found = options_of(
        "--budget", "100", "--tolerance_mm", "2", "5", "--set", "impulse.training.seed=3", "--rows", "plus"
    )
    assert (found.dataset, found.table, found.output, found.rows) == (803, "1", Path("study"), ("plus",))
    assert found.budget.steps == 100
    assert found.settings == {"impulse.training.seed": 3}
    assert found.metrics.tolerances_mm == (2, 5)


@pytest.mark.parametrize("asked", [False, True])
def test_hd95_is_computed_where_it_is_asked_for(asked):
    assert options_of(*(["--hd95"] if asked else [])).metrics.hd95 is asked
