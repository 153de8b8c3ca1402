import argparse
import resource
import shlex

import pytest

from impulse_nnunet.cli.flags import check_flags
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


def test_ctrl_c_is_one_line_and_exit_code_130(capsys, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("impulse_nnunet.cli.doctor.run", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "impulse_nnunet: ended by Ctrl-C\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_one_line_that_names_the_limit(capsys, monkeypatch, error):
    def fails(options):
        raise error

    monkeypatch.setattr("impulse_nnunet.cli.doctor.run", fails)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (3_000_000_000, resource.RLIM_INFINITY))
    assert main(["doctor"]) == 2
    found = capsys.readouterr().err
    assert found.startswith("impulse_nnunet: memory: found too little, with a limit of 3.0 GB on virtual memory, ")
    assert found.endswith("raise the limit (ulimit -v unlimited, or the job's), which counts more than what is used\n")
    assert found.count("\n") == 1


def test_other_errors_of_ours_keep_their_traceback(monkeypatch):
    def fails(options):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("impulse_nnunet.cli.doctor.run", fails)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        main(["doctor"])


@pytest.mark.parametrize("command", ["predict", "reconstruct"])
def test_a_file_where_the_output_folder_should_be(capsys, tmp_path, command):
    (tmp_path / "out").write_text("")
    model = {"predict": ["-m", "M"], "reconstruct": ["--segment_model", "M"]}[command]
    for output in ("out", "out/below"):
        assert main([command, *model, "-i", "I", "-o", str(tmp_path / output), "-device", "cpu"]) == 2
        expected = f"impulse_nnunet: {tmp_path / 'out'}: found a file, expected a folder, or a new name; choose another"
        assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["plan_and_preprocess", "-d", "1", "-npfp", "0"], "-npfp: found 0, expected 1 or more; correct it"),
        (["plan_and_preprocess", "-d", "1", "-np", "2", "-1"], "-np: found -1, expected 1 or more; correct it"),
        (["predict", "-m", "M", "-i", "I", "-o", "O", "-npp", "-1"], "-npp: found -1, expected 0 or more; correct it"),
        (["evaluate", "A", "B", "-np", "0"], "-np: found 0, expected 1 or more; correct it"),
        (["phantom", "-d", "1", "-n", "1", "-np", "0"], "-np: found 0, expected 1 or more; correct it"),
        (["pipeline", "-d", "1", "--inputs", "i", "-num_gpus", "0"], "-num_gpus: found 0, expected 1 or more;"),
    ],
)
def test_numbers_of_processes(capsys, arguments, expected):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"impulse_nnunet: {expected}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["predict", "-m", "M", "-i", "I", "-o", "O", "-folds", "0"],
            "-folds: found no such flag of this command, expected one that it has; write -f and the value behind it",
        ),
        (["predict", "-m", "M", "-i", "I", "-o", "O", "-spacing", "1"], "-spacing: found no such flag of this command"),
        (["plan_and_preprocess", "-dataset", "7"], "-dataset: found no such flag of this command, expected one that"),
        (["reconstruct", "-overwrite"], "-overwrite: found no such flag of this command, expected --overwrite; "),
    ],
)
def test_a_flag_that_argparse_would_take_for_a_shorter_one_is_named(capsys, arguments, expected):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"impulse_nnunet: {expected}")


@pytest.mark.parametrize("arguments", [["-f0"], ["-f", "0"], ["-dev", "cpu"], ["-f=0"], ["-chk", "-a.pth"]])
def test_flags_with_values_behind_them_and_shortened_ones_pass(arguments):
    known = argparse.ArgumentParser()
    for flag in ("-f", "-device", "-chk"):
        known.add_argument(flag)
    check_flags(known, arguments)
