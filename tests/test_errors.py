import subprocess
import sys

import pytest

from impulse_nnunet.errors import CasesFailedError, InputError

HOOK = "from impulse_nnunet import errors; errors.install_one_line_errors(); "


def run_python(code, **environment):
    return subprocess.run([sys.executable, "-c", HOOK + code], capture_output=True, text=True, env=environment)


def test_text_of_an_input_error():
    error = InputError("case_7", "2 channels", "3", "add the file")
    assert str(error) == "case_7: found 2 channels, expected 3; add the file"
    assert isinstance(error, ValueError)


def test_an_input_error_is_one_line():
    assert "\n" not in str(InputError("case\n7", "a\nb", "c\nd", "e\nf"))


def test_failed_cases_are_all_named():
    error = CasesFailedError({"a": "a: found x", "b": "b: found y"}, 5)
    assert str(error).splitlines() == ["2 of 5 cases failed:", "  a: found x", "  b: found y"]


def test_an_uncaught_input_error_prints_one_line_and_exits_with_2():
    result = run_python("raise errors.InputError('case_7', 'x', 'y', 'z')")
    assert result.returncode == 2
    assert result.stderr == "impulse_nnunet: case_7: found x, expected y; z\n"


def test_uncaught_failed_cases_exit_with_2():
    result = run_python("raise errors.CasesFailedError({'a': 'a: found x'}, 3)")
    assert result.returncode == 2
    assert result.stderr.splitlines() == ["impulse_nnunet: 1 of 3 cases failed:", "  a: found x"]


@pytest.mark.parametrize(
    ("code", "environment"),
    [
        ("raise errors.InputError('case_7', 'x', 'y', 'z')", {"IMPULSE_NNUNET_TRACEBACK": "1"}),
        ("raise KeyError('case_7')", {}),
    ],
)
def test_the_traceback_is_shown_on_demand_and_for_errors_of_ours(code, environment):
    result = run_python(code, **environment)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert "case_7" in result.stderr.splitlines()[-1]
