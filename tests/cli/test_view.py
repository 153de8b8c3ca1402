import shutil

import pytest

from impulse_nnunet.cli.main import main
from tests.outputs.page import scenes
from tests.outputs.page.reading import read_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    scenes.write_case(folder)
    scenes.write_case(folder, "case_2", flips=(-1, 1, 1))
    return folder


def test_one_case_with_everything(folder, tmp_path, capsys):
    page = tmp_path / "new" / "case.html"
    given = ["--ct", str(folder / "images"), "--trees", str(folder / "trees"), "--lesion", str(folder / "lesions")]
    assert main(["view", str(folder / "labels" / "case_1.nii.gz"), "-o", str(page), *given, "--title", "A & B"]) == 0
    assert capsys.readouterr().out == f"{page} ({page.stat().st_size / 1e6:.1f} MB)\n"
    content, _ = read_page(page)
    assert content["title"] == "A & B"
    assert "<title>A &amp; B</title>" in page.read_text(encoding="utf-8")
    assert content["labels"] == {"1": "right S1", "2": "right S6", "3": "left S3"}
    assert [group["name"] for group in content["groups"]][:3] == ["Lesion", "Airways and vessels", "right upper lobe"]


def test_a_folder_goes_on_when_a_case_is_bad(folder, tmp_path, capsys):
    labels = tmp_path / "labels"
    shutil.copytree(folder / "labels", labels)
    (labels / "case_1.nii.gz").write_bytes(b"no image")
    assert main(["view", str(labels), "-o", str(tmp_path / "pages")]) == 2
    assert [page.name for page in (tmp_path / "pages").iterdir()] == ["case_2.html"]
    error = capsys.readouterr().err
    assert "1 of 2 cases failed" in error
    assert "case_1.nii.gz" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labels", "-o", "page.html"], "-o: found one file for 2 cases, expected a folder; e.g. -o page"),
        (["nothing", "-o", "page.html"], "nothing: found no such file or folder, expected a label map"),
        (
            ["labels/case_1.nii.gz", "-o", "labels/dataset.json"],
            "-o: found labels/dataset.json, expected FILE.html or a folder",
        ),
        (["labels/case_1.nii.gz", "-o", "p.html", "--ct", "gone"], "--ct: found gone, which does not exist"),
        (["labels/case_1.nii.gz", "-o", "p.html", "--names", "gone"], "check --names"),
        (["labels/case_1.nii.gz", "-o", "p.html", "--largest_mb", "1"], "--largest_mb: found 1, expected 2 or more"),
    ],
)
def test_bad_input_gets_one_line(folder, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folder)
    assert main(["view", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_chosen_labels_only(folder, tmp_path):
    page = tmp_path / "page.html"
    chosen = ["--labels", "left S3", "1", "-np", "1"]
    assert main(["view", str(folder / "labels" / "case_1.nii.gz"), "-o", str(page), *chosen]) == 0
    content, _ = read_page(page)
    assert content["labels"] == {"1": "right S1", "3": "left S3"}
    assert content["notes"] == []


def test_a_folder_on_two_processes_and_a_part_of_it(folder, tmp_path):
    assert main(["view", str(folder / "labels"), "-o", str(tmp_path / "all"), "-np", "2"]) == 0
    assert sorted(page.name for page in (tmp_path / "all").iterdir()) == ["case_1.html", "case_2.html"]
    assert main(["view", str(folder / "labels"), "-o", str(tmp_path / "part"), "--shard", "1/2"]) == 0
    assert [page.name for page in (tmp_path / "part").iterdir()] == ["case_2.html"]
