from impulse_nnunet.evaluation.report.page import ReportOptions
from tests.evaluation.report.folders import write_method
from tests.evaluation.report.test_page import page_of
from tests.outputs.page.reading import read_page


def test_the_worst_the_median_and_the_best_case_have_a_page(tmp_path):
    folder = write_method(tmp_path, dices=(0.5, 0.9, 0.7, 0.95, 0.6))
    report = page_of([folder], tmp_path, ReportOptions(views=False, pages=True))
    links = [link for link in report.links if not link.startswith(("#", "data:"))]
    assert links == ["report_pages/c0.html", "report_pages/c2.html", "report_pages/c3.html"]
    content, _ = read_page(tmp_path / "out" / links[0])
    assert content["labels"] == {"1": "right S1", "2": "right S2", "3": "left S1+2", "4": "left S3"}
    assert [group["name"] for group in content["groups"]] == [
        "Airways and vessels",
        "right upper lobe",
        "left upper lobe",
    ]
    assert content["title"] == "c0, ours"
    # the prediction's own volumes: label 1 has 10 slices of 16 x 10 voxels of 9 mm^3
    assert content["volumes_ml"]["1"] == 10 * 16 * 10 * 9 / 1000


def test_two_methods_have_a_page_each(tmp_path):
    folders = [write_method(tmp_path, name, dices=(0.5,)) for name in ("ours", "theirs")]
    report = page_of(folders, tmp_path, ReportOptions(views=False, pages=True))
    assert [link for link in report.links if "pages" in link] == ["report_pages/c0_1.html", "report_pages/c0_2.html"]


def test_a_page_that_cannot_be_written_is_a_note(tmp_path):
    folder = write_method(tmp_path, dices=(0.5,))
    (folder / "c0.nii.gz").unlink()
    report = page_of([folder], tmp_path, ReportOptions(views=False, pages=True))
    assert "no page of ours" in report.text
    assert not [link for link in report.links if "pages" in link]


def test_without_being_asked_there_are_none(tmp_path):
    page_of([write_method(tmp_path, dices=(0.5,))], tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
