import argparse
import ast
import re
from pathlib import Path

import pytest

from impulse_nnunet.cli.flags import DESTINATIONS, NNUNET, FlagNames, flags_of, names_in_nnunet
from impulse_nnunet.cli.main import COMMANDS, main
from impulse_nnunet.errors import InputError, settings_named

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = [
    path
    for folder in ("impulse_nnunet", "trainers", "planners", "evaluation")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "cli" not in path.parts
]
ANY = FlagNames({}, COMMANDS)


def settings_named_in(path):
    """Settings in backticks in a module's texts; a text that stands alone is a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from re.findall(r"(?<!`)`([a-z]\w*)`(?!`)", node.value)


def parser_of(*flags):
    parser = argparse.ArgumentParser()
    for flag in flags:
        parser.add_argument(flag)
    return parser


def test_a_setting_has_the_flag_of_the_command_at_hand():
    names = FlagNames(flags_of(parser_of("-np", "--spacing", "--table")), COMMANDS)
    assert [names(setting) for setting in ("processes", "spacing_mm", "table")] == ["-np", "--spacing", "--table"]
    assert FlagNames(flags_of(parser_of("-npp")), COMMANDS)("processes") == "-npp"


def test_other_commands_are_asked_for_what_this_one_lacks():
    assert FlagNames(flags_of(parser_of("-o")), COMMANDS)("overwrite_plans_name") == "-overwrite_plans_name"
    assert FlagNames({}, COMMANDS)("continue_training") == "--c"  # nnUNetv2_train
    assert FlagNames({}, COMMANDS)("no_such_setting") is None


def test_a_command_inside_a_command_is_the_one_at_hand():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    commands.add_parser("one").add_argument("-a")
    commands.add_parser("two").add_argument("-b")
    assert set(flags_of(parser, ["two", "-b", "3"])) == {"help", "b"}


def test_python_users_read_the_setting_and_others_the_flag():
    error = InputError("`processes`", "0", "1 or more", "give `processes` 2, not `x y` or `unknown`")
    assert str(error) == "`processes`: found 0, expected 1 or more; give `processes` 2, not `x y` or `unknown`"
    with settings_named({"processes": "-np"}.get):
        assert str(error) == "-np: found 0, expected 1 or more; give -np 2, not `x y` or `unknown`"
    assert str(error).startswith("`processes`")


@pytest.mark.parametrize("path", [p for p in LIBRARY if set(settings_named_in(p))], ids=lambda path: path.stem)
def test_each_setting_in_a_message_has_a_flag(path):
    flags = {setting: ANY(setting) or NNUNET.get(setting) for setting in settings_named_in(path)}
    assert [setting for setting, flag in flags.items() if flag is None and setting not in WITHOUT_FLAG] == []


WITHOUT_FLAG = {"stage"}  # of a process that the commands start


def test_each_entry_of_the_table_is_used():
    used = {setting for path in LIBRARY for setting in settings_named_in(path)}
    variables = {"bav", "checkpoint", "dataset", "lobes", "planner", "fingerprint_extractor"}  # named by arguments
    assert set(DESTINATIONS) - used - variables == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("phantom", "-d", "801", "-n", "0"), "-n: found 0, expected 1 to 9"),
        (("phantom", "-d", "801", "-n", "1", "--noise", "9", "1"), "--noise: found 9.0 1.0"),
        (
            ("phantom", "-d", "801", "-n", "1", "--bav_id", "801"),
            "--bav_id: found 801, expected another ID than -d 801",
        ),
        (("table", "-d", "801", "--table", "1", "-o", "x", "--budget", "2003"), "--budget: found 2003 steps"),
        (("table", "-d", "801", "--table", "1", "-o", "x", "-np", "0"), "-np: found 0, expected 1 or more"),
        (("build_inputs", "-d", "9", "--ct", "801", "--inputs", "l"), "--lobes: found nothing, expected ground_truth"),
        (("evaluate", "x", "y", "--tolerance_mm", "-1"), "--tolerance_mm: found [-1.0]"),
    ],
)
def test_commands_name_their_flags(capsys, nnunet_folders, arguments, expected):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "`" not in error


def test_a_message_on_another_command_names_that_commands_flags(capsys, nnunet_folders):
    (nnunet_folders / "nnUNet_raw" / "Dataset801_Made").mkdir()
    assert main(["figure", "7", "-d", "801", "--study", "x", "-o", "y"]) == 2
    assert "; run impulse_nnunet table with --table 2 and -o x first\n" in capsys.readouterr().err


def test_nnunets_commands_name_their_flags_and_python_none():
    names = names_in_nnunet("/bin/nnUNetv2_train")
    assert [names(setting) for setting in ("continue_training", "device", "plans", "unknown")] == [
        "--c",
        "-device",
        "-p",
        None,
    ]
    assert names_in_nnunet("/bin/python") is None
    assert names_in_nnunet("") is None
