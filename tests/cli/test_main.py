import shlex

import pytest

from impulse_nnunet.cli.main import COMMANDS, main


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_with_an_example(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"impulse_nnunet {command}" in capsys.readouterr().out.split("example")[1]


def test_a_users_error_is_one_line_and_exit_code_2(capsys, tmp_path, nnunet_folders):
    assert main(["predict", "-d", "704", "-i", str(tmp_path), "-o", str(tmp_path), "-device", "cpu"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("impulse_nnunet: dataset 704: found no such data set")
    assert printed.err.count("\n") == 1


def test_verbose_shows_the_traceback(capsys, nnunet_folders):
    arguments = ["predict", "-d", "704", "-i", "x", "-o", "y", "-device", "cpu", "--verbose"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("Traceback")


def test_a_model_that_is_not_there(capsys, nnunet_folders):
    (nnunet_folders / "nnUNet_raw" / "Dataset704_Made").mkdir()
    assert main(["predict", "-d", "704", "-i", "x", "-o", "y", "-device", "cpu"]) == 2
    expected = "found no such folder, expected a trained model; train it, or check -d, -tr, -p and -c\n"
    assert capsys.readouterr().err.endswith(expected)


def test_a_setting_without_a_value(capsys, nnunet_folders):
    assert main(["plan_and_preprocess", "-d", "704", "--set", "batch_size"]) == 2
    expected = "--set batch_size: found no '=', expected NAME=VALUE; e.g. --set impulse.training.epochs=20"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value"), [("-preprocessor_name", "DefaultPreprocessor"), ("-overwrite_target_spacing", "1")]
)
def test_flags_of_nnunet_that_would_change_nothing_are_refused(capsys, flag, value):
    assert main(["plan_and_preprocess", "-d", "704", flag, value]) == 2
    assert "expected no such flag with this planner" in capsys.readouterr().err


def test_env_prints_what_a_shell_can_read(capsys, tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    base = tmp_path / "with space"
    assert main(["env", "--base", str(base)]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert all(word == "export" for word, _ in lines)
    values = dict(value.split("=", 1) for _, value in lines)
    assert values["nnUNet_raw"] == str(base / "nnUNet_raw")
    assert (base / "nnUNet_raw").is_dir()
    assert values["nnUNet_extTrainer"].endswith("external_trainers")


def test_version(capsys):
    from impulse_nnunet import __version__

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"impulse_nnunet {__version__}\n"
