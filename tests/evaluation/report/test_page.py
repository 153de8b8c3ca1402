import json
import re
import sys
from html.parser import HTMLParser

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.evaluation.report import scenes
from impulse_nnunet.evaluation.report.gallery import choose_cases
from impulse_nnunet.evaluation.report.page import ReportOptions, settings_table, write_report
from impulse_nnunet.evaluation.report.summaries import read_evaluations
from impulse_nnunet.jobs.prediction_file import PredictionFile
from impulse_nnunet.runtime.findings import Finding
from tests.evaluation.report.folders import case_entry, write_method, write_summary

EMPTY_ELEMENTS = {"meta", "img", "br", "line", "rect"}
FLAT = ReportOptions(views=False)


class Page(HTMLParser):
    """A parsed page; refuses elements that are closed in another order than they were opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.tags, self.words = [], [], [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.add(tag)
        if tag == "img":
            self.images.append(values)
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(folders, tmp_path, options=FLAT):
    path = write_report([str(folder) for folder in folders], tmp_path / "out" / "report.html", options)
    return Page(path.read_text(encoding="utf-8"))


def test_one_file_that_needs_no_other(tmp_path):
    page = page_of([write_method(tmp_path)], tmp_path)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert all(image["alt"] and image["width"] and image["height"] for image in page.images)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_what_a_report_of_one_method_says(tmp_path):
    text = page_of([write_method(tmp_path, failures={"c9": "c9: found no file, expected one"})], tmp_path).text
    assert "Evaluation of ours 3 cases, 4 labels, 1 method;" in text
    assert "1 case of ours could not be evaluated and is in no number below: c9: found no file" in text
    assert "Dice (%) ↑ 70.00" in text
    assert "With so few cases (3) bootstrap intervals are somewhat too narrow." in text
    assert "1 right S1" in text
    assert "surface voxel" in text
    assert "right upper lobe" in text
    for heading in ("Means over cases", "Trees", "Labels", "Cases", "Pictures", "Settings"):
        assert heading in text


def test_worst_median_and_best_case_in_three_planes(tmp_path):
    page = page_of([write_method(tmp_path)], tmp_path)
    order = [re.search(r"(c\d) \((\w+)\)", part).groups() for part in re.findall(r"c\d \(\w+\)", page.text)]
    assert order == [("c0", "worst"), ("c2", "median"), ("c1", "best")]
    assert len(page.images) == 2 + 3 * 3  # box plots of Dice and NSD; slices
    assert "reference" not in page.images[0]["alt"]


def test_methods_stand_side_by_side(tmp_path):
    folders = [write_method(tmp_path, name) for name in ("ours", "theirs")]
    page = page_of(folders, tmp_path, ReportOptions(cases=("c1",), views=False, title="Two methods"))
    assert page.text.startswith("Two methods")
    alts = [image["alt"] for image in page.images[2:]]
    assert [re.match(r"c1, (\w+): .*; (\w+),", alt).groups() for alt in alts] == [
        (method, plane) for plane in ("axial", "coronal", "sagittal") for method in ("ours", "theirs")
    ]


def test_views_in_three_dimensions(tmp_path):
    page = page_of([write_method(tmp_path, dices=(0.5,))], tmp_path, ReportOptions())
    if "There are no three-dimensional views" in page.text:
        pytest.skip("this machine cannot draw")
    # 2 box plots, 3 slices, front and back of reference, prediction and tree
    assert len(page.images) == 2 + 3 + 2 * 3
    assert "c0 (the only case)" in page.text


@pytest.mark.parametrize("number", [1, 2])
def test_without_opengl_the_report_is_written_and_says_why_once(tmp_path, monkeypatch, number):
    monkeypatch.setattr(scenes, "CHILD", (sys.executable, "-c", "import os; os.abort()"))
    page = page_of([write_method(tmp_path)], tmp_path, ReportOptions(cases=(str(number),)))
    reason = "There are no three-dimensional views: the drawing process ended with signal 6 (without a word)."
    assert page.text.count(reason) == 1
    assert len(page.images) == 2 + 3 * number


def test_a_case_whose_files_are_gone_gets_a_note(tmp_path):
    folder = write_method(tmp_path)
    (tmp_path / "gt" / "c0.nii.gz").unlink()
    page = page_of([folder], tmp_path)
    assert re.search(
        r"c0 \(worst\) ours: Dice \(%\) 50.00, NIB 1 no pictures: \S+c0.nii.gz: found no such file", page.text
    )
    assert len(page.images) == 2 + 2 * 3


def test_a_method_that_lacks_a_case_gets_a_note(tmp_path):
    folders = [write_method(tmp_path, "ours", (0.5, 0.6)), write_method(tmp_path, "theirs", (0.7,))]
    page = page_of(folders, tmp_path, ReportOptions(cases=("c1",), views=False))
    assert "theirs did not evaluate this case" in page.text
    assert "The methods have different cases (ours 2, theirs 1; 1 in all of them)" in page.text
    assert len(page.images) == 2 + 3


def test_images_behind_the_slices(tmp_path):
    folder = write_method(tmp_path, dices=(0.5,))
    (tmp_path / "images").mkdir()
    page = page_of([folder], tmp_path, ReportOptions(views=False, images=tmp_path / "images"))
    assert "0 files c0_0000.*" in page.text


def test_settings_that_differ_are_told(tmp_path):
    folders = [write_method(tmp_path, "ours"), write_method(tmp_path, "theirs", settings={"connectivity": 6})]
    assert "connectivity differs: 26 and 6." in page_of(folders, tmp_path).text
    table = settings_table(read_evaluations([str(folder) for folder in folders]))
    rows = {row[0].text: row[1:] for row in table.rows}
    assert [(cell.text, cell.strong) for cell in rows["connectivity"]] == [("26", True), ("6", True)]
    assert [(cell.text, cell.columns) for cell in rows["tolerances_mm"]] == [("[1, 2]", 2)]
    assert rows["label_names.3"][0].text == "left S1+2"
    assert rows["trees.airway"][0].text == "/trees"


def test_pictures_show_small_intrusions_too_and_say_so(tmp_path):
    folder = write_method(tmp_path, settings={"min_size": 5})
    assert "Pictures also mark intrusions that are smaller" in page_of([folder], tmp_path).text


def test_names_cannot_break_the_page(tmp_path):
    evil = '<script>alert(1)</script> & "quotes"'
    folder = write_method(tmp_path, dices=(0.5,), settings={"label_names": {"1": evil}}, failures={"c8": evil})
    page = page_of([f"{evil}={folder}"], tmp_path, ReportOptions(cases=("1",), views=False, title=evil))
    assert "script" not in page.tags
    assert page.text.count('<script>alert(1)</script> & "quotes"') > 4


def test_neither_trees_nor_lobes_nor_surface_metrics(tmp_path):
    entry = case_entry(tmp_path / "ours", "c0", trees=())
    entry["paper"] = {"Dice": 0.8}
    entry["metrics"] = {"1": {"Dice": 0.8}, "2": {"Dice": None}}
    folder = write_summary(tmp_path / "ours", [case_entry(tmp_path / "ours", "c0", trees=())], {"lobes": {}})
    content = json.loads((folder / "summary.json").read_text())
    content |= {"metric_per_case": [entry], "mean": {"1": {"Dice": 0.8}, "2": {"Dice": None}}, "paper": {"Dice": 0.8}}
    (folder / "summary.json").write_text(json.dumps(content))
    page = page_of([folder], tmp_path)
    assert "Trees" not in page.text
    assert "intruding" not in page.text.split("Pictures")[-1].split("(the only case)")[-1]
    assert len(page.images) == 1 + 3


def test_a_failed_report_leaves_the_old_one(tmp_path):
    output = tmp_path / "report.html"
    output.write_text("old")
    with pytest.raises(InputError, match=re.escape("`cases`: found 'c7', expected evaluated cases (c0, c2, c1)")):
        write_report([str(write_method(tmp_path))], output, ReportOptions(cases=("c7",)))
    assert output.read_text() == "old"


def test_bad_outputs_and_folders(tmp_path):
    folder = str(write_method(tmp_path, dices=(0.5,)))
    with pytest.raises(InputError, match=r"`output`: found .*, a folder, expected a file"):
        write_report([folder], tmp_path)
    with pytest.raises(InputError, match="`images`: found no folder nowhere"):
        write_report([folder], tmp_path / "r.html", ReportOptions(images=type(tmp_path)("nowhere")))


@pytest.mark.parametrize(
    ("dices", "wanted", "expected"),
    [
        ((0.5, 0.9, 0.7), ("3",), {"c0": "worst", "c2": "median", "c1": "best"}),
        ((0.5, 0.9, 0.7), ("1",), {"c0": "worst"}),
        ((0.5, 0.9, 0.7), ("2",), {"c0": "worst", "c1": "best"}),
        ((0.5, 0.9, 0.7), ("0",), {}),
        ((0.5, 0.9, 0.7), ("c1", "c0"), {"c1": "chosen", "c0": "chosen"}),
        ((0.1, 0.2, 0.3, 0.4), ("3",), {"c0": "worst", "c1": "median", "c3": "best"}),
        ((0.1, 0.2, 0.3, 0.4), ("9",), {"c0": "worst", "c1": "rank 2 of 4", "c2": "rank 3 of 4", "c3": "best"}),
        ((0.1, None), ("3",), {"c0": "the only case"}),
        ((None, None), ("1",), {"c0": "worst"}),
    ],
)
def test_choice_of_cases(tmp_path, dices, wanted, expected):
    methods = read_evaluations([str(write_method(tmp_path, dices=dices))])
    chosen = choose_cases(methods, wanted)
    assert chosen == expected
    assert list(chosen) == list(expected)


def test_findings_of_the_prediction_are_named(tmp_path):
    folder = write_method(tmp_path, dices=(0.5, 0.6))
    file = PredictionFile(folder, ".nii.gz", {})
    for case, found in (("c0", []), ("c1", [Finding("mirrored", "looks mirrored")])):
        labels = folder / f"{case}.nii.gz"
        content = labels.read_bytes() if labels.is_file() else b""
        file.done(case, found, 1.0)  # before its labels appear: those of an earlier call go
        labels.write_bytes(content)
    file.join()
    page = write_report([f"mine={folder}"], tmp_path / "r.html", FLAT).read_text(encoding="utf-8")
    assert "Cases of mine that were predicted with findings: c1 (mirrored)." in page
