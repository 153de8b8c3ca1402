import json

import pytest

from impulse_nnunet.cli.main import main


@pytest.fixture
def methods(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, shift in (("old", 0.0), ("new", 0.1)):
        entries = [
            {"case": f"c{number}", "paper": {"Dice": 0.5 + shift + number / 100, "NIB": number}} for number in range(5)
        ]
        (tmp_path / name).mkdir()
        content = {"metric_per_case": entries, "settings": {"connectivity": 26 if shift else 6}}
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
    return tmp_path


def test_without_a_folder_the_table_is_only_printed(capsys, methods):
    before = sorted(methods.rglob("*"))
    arguments = ["compare", "old/summary.json", "ours=new,new", "--allow_different_settings", "--bootstrap", "100"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| Dice (%) ↑ |" in printed
    assert "ours minus old (5 common cases)" in printed
    assert sorted(methods.rglob("*")) == before


def test_with_a_folder_the_same_is_written_and_printed(capsys, methods):
    arguments = ["compare", "old", "new", "--allow_different_settings", "-o", "out/here", "--metrics", "Dice"]
    assert main([*arguments, "--reference", "new", "--level", "0.9", "--seed", "3", "--permutations", "50"]) == 0
    assert (methods / "out" / "here" / "comparison.md").read_text(encoding="utf-8") == capsys.readouterr().out
    content = json.loads((methods / "out" / "here" / "comparison.json").read_text())
    settings = content["settings"]
    assert (content["reference"], content["metrics"]) == ("new", ["Dice"])
    assert (settings["level"], settings["seed"], settings["permutations"], settings["bootstrap"]) == (0.9, 3, 50, 10000)


def test_the_same_seed_writes_the_same_files(methods):
    arguments = ["compare", "old", "new", "--allow_different_settings", "--bootstrap", "100", "-o"]
    main([*arguments, "one"])
    main([*arguments, "two"])
    for path in (methods / "one").iterdir():
        assert path.read_bytes() == (methods / "two" / path.name).read_bytes()


def test_errors_are_one_line(capsys, methods):
    assert main(["compare", "old", "new"]) == 2
    printed = capsys.readouterr().err
    assert "setting connectivity: found 26, expected 6 as in" in printed
    assert printed.count("\n") == 1
    assert main(["compare", "old", "new", "--level", "95"]) == 2
    assert "level: found 95.0, expected a number between 0 and 1" in capsys.readouterr().err
