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


def test_ctrl_c_is_one_line_and_exit_code_130():
    result = run_python("raise KeyboardInterrupt")
    assert (result.returncode, result.stderr) == (130, "impulse_nnunet: ended by Ctrl-C\n")


def test_what_is_not_supported_is_one_line_where_this_package_says_so():
    result = run_python(
        "exec(compile('def refuse(): raise NotImplementedError(\"cascades are not supported\")', 'x', 'exec'), "
        "vars(errors)); errors.refuse()"
    )
    assert (result.returncode, result.stderr) == (2, "impulse_nnunet: cascades are not supported\n")
    assert run_python("raise NotImplementedError('another package')").stderr.startswith("Traceback")


def test_what_else_can_be_said_in_one_line_is():
    code = "import sys; sys.excepthook = sys.__excepthook__; from impulse_nnunet.runtime.memory_limit import *; "
    result = run_python(code + "errors.install_one_line_errors(None, short_of_memory); raise MemoryError")
    assert result.returncode == 2
    assert result.stderr.startswith("impulse_nnunet: memory: found too little")
