import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.names import LabelNames, find_names
from impulse_nnunet.outputs.page.files import case_files
from impulse_nnunet.outputs.page.write import PageOptions, write_page
from tests.outputs.page import scenes
from tests.outputs.page.reading import mesh_of, read_page, volume_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    scenes.write_case(folder)
    return folder


def page_of(folder, output, *, names=None, options=None, **beside):
    labels = folder / "labels" / "case_1.nii.gz"
    return write_page(case_files("case_1", labels, **beside), names or find_names(labels), output, options)


def everything(folder):
    return {"images": folder / "images", "trees": folder / "trees", "lesion": folder / "lesions"}


def test_meshes_lie_in_the_world_where_the_boxes_do(folder, tmp_path):
    content, chunks = read_page(page_of(folder, tmp_path / "page.html", **everything(folder)))
    boxes = dict(zip("123", scenes.BOXES.values(), strict=True)) | {"airway": scenes.AIRWAY, "lesion": scenes.LESION}
    assert [one["id"] for one in content["structures"]] == list(boxes)
    for one in content["structures"]:
        points, triangles = mesh_of(one, content["grid"], chunks)
        first, last = (np.array(corner) for corner in boxes[one["id"]])
        lower, upper = (
            scenes.FIRST_MM + (corner + shift) * scenes.SPACING_MM for corner, shift in ((first, -0.5), (last, 0.5))
        )
        # smoothing rounds corners and moves no point further than half the diagonal of a voxel, 1.4 mm
        assert np.abs(points.min(axis=0) - lower).max() <= 1.4
        assert np.abs(points.max(axis=0) - upper).max() <= 1.4
        corners = points[triangles]
        volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
        assert volume / 1000 == pytest.approx(scenes.volume_ml(boxes[one["id"]]), rel=0.1)  # and positive: outwards


def test_volumes_hold_the_labels_and_grey_values(folder, tmp_path):
    content, chunks = read_page(page_of(folder, tmp_path / "page.html", **everything(folder)))
    segments, extras, image = (content["volumes"][name] for name in ("segments", "extras", "image"))
    counts = np.bincount(volume_of(segments, chunks).ravel())
    assert counts[1:].tolist() == [14 * 20 * 12, 14 * 20 * 14, 14 * 20 * 26]
    assert segments["ids"] == [None, "1", "2", "3"]
    assert np.bincount(volume_of(extras, chunks).ravel())[1:].tolist() == [4 * 4 * 32, 6 * 6 * 4]
    assert extras["ids"] == [None, "airway", "lesion"]
    greys = np.array(image["values"])[volume_of(image, chunks)]
    assert greys[volume_of(segments, chunks) == 3] == pytest.approx(-850)
    assert greys[volume_of(extras, chunks) == 2] == pytest.approx(30)
    assert content["start"] == pytest.approx(scenes.centre(scenes.LESION), abs=2)


def test_without_image_trees_lesion_or_names(folder, tmp_path):
    content, _ = read_page(page_of(folder, tmp_path / "page.html", names=LabelNames()))
    assert content["labels"] == {"1": "label 1", "2": "label 2", "3": "label 3"}
    assert content["notes"] == ["No name is known for labels 1, 2, 3."]
    assert (content["volumes"]["image"], content["windows"], content["ghost"]) == (None, [], 1)
    assert content["groups"] == [{"name": "Labels", "ids": ["1", "2", "3"]}]


def test_lobes_make_groups_and_missing_labels_are_told(folder, tmp_path):
    names = LabelNames(names={1: "a", 2: "b", 3: "c", 4: "d"}, lobes={"one": (2, 1), "two": (4,)})
    content, _ = read_page(page_of(folder, tmp_path / "page.html", names=names))
    assert content["groups"] == [{"name": "one", "ids": ["2", "1"]}, {"name": "Other", "ids": ["3"]}]
    assert content["notes"] == ["Without a voxel: d."]


def test_labels_that_are_vessels_or_tumours_are_seen_inside_the_others(folder, tmp_path):
    names = LabelNames(names={1: "liver", 2: "portal_vein", 3: "liver_tumor"})
    content, _ = read_page(page_of(folder, tmp_path / "page.html", names=names))
    assert [one["kind"] for one in content["structures"]] == ["segment", "tree", "lesion"]
    assert content["ghost"] < 1


def test_the_ignore_label_is_left_out(folder, tmp_path):
    names = LabelNames(names={1: "a", 2: "b"}, ignore_label=3)
    content, chunks = read_page(page_of(folder, tmp_path / "page.html", names=names))
    assert list(content["labels"]) == ["1", "2"]
    assert volume_of(content["volumes"]["segments"], chunks).max() == 2


def test_more_than_255_labels(tmp_path):
    labels = np.arange(8 * 9 * 10, dtype=np.uint16).reshape(8, 9, 10) // 2
    path = scenes.store(labels, tmp_path / "many.nii.gz")
    page = write_page(case_files("many", path), LabelNames(), tmp_path / "page.html")
    content, chunks = read_page(page)
    found = volume_of(content["volumes"]["segments"], chunks)
    assert found.dtype == np.uint16
    assert np.array_equal(found, labels)
    assert len(content["structures"]) == 359


def test_names_from_outside_cannot_end_a_script(folder, tmp_path):
    bad = "</script><script>alert(1)</script><!--[[CHUNKS]]"
    page = page_of(folder, tmp_path / "page.html", names=LabelNames(names={1: bad}), options=PageOptions(title=bad))
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert read_page(page)[0]["labels"]["1"] == bad


def test_grey_values_become_coarser_until_the_page_fits(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((100, 160, 160), np.uint8)
    labels[10:90, 10:150, 10:150] = 1
    path = scenes.store(labels, tmp_path / "a.nii.gz")
    image = scenes.store((rng.normal(0, 300, labels.shape) - 500).astype(np.int16), tmp_path / "ct.nii.gz")
    # 2.56 million voxels of such noise take more than the 1.2 MB that are left of 2
    page = write_page(
        case_files("a", path, images=image), LabelNames(), tmp_path / "a.html", PageOptions(largest_mb=2, is_hu=True)
    )
    assert page.stat().st_size < 2e6
    content, _ = read_page(page)
    assert "Grey values are means over" in content["notes"][-1]
    assert content["volumes"]["segments"]["step"] == pytest.approx(scenes.SPACING_MM)  # outlines are not


@pytest.mark.parametrize(
    ("beside", "options", "message"),
    [
        ({}, PageOptions(largest_mb=1), "`largest_mb`: found 1, expected 2 or more"),
        ({}, PageOptions(largest_mb=float("nan")), "`largest_mb`"),
    ],
)
def test_bad_settings(folder, tmp_path, beside, options, message):
    with pytest.raises(InputError, match=message):
        page_of(folder, tmp_path / "page.html", options=options, **beside)


def test_an_empty_label_map_and_a_tree_on_another_grid(folder, tmp_path):
    empty = scenes.store(np.zeros(scenes.SIZE[::-1], np.uint8), tmp_path / "empty.nii.gz")
    with pytest.raises(InputError, match="found no labelled voxel"):
        write_page(case_files("empty", empty), LabelNames(), tmp_path / "page.html")
    scenes.store(scenes.upright(scenes.AIRWAY), tmp_path / "trees" / "airway" / "case_1.nii.gz", flips=(-1, 1, 1))
    with pytest.raises(InputError, match=r"airway.case_1.nii.gz: found direction"):
        page_of(folder, tmp_path / "page.html", trees=tmp_path / "trees")
    assert not (tmp_path / "page.html").exists()


def test_an_empty_tree_is_a_note(folder, tmp_path):
    scenes.store(np.zeros(scenes.SIZE[::-1], np.uint8), tmp_path / "trees" / "vein" / "case_1.nii.gz")
    content, _ = read_page(page_of(folder, tmp_path / "page.html", trees=tmp_path / "trees"))
    assert content["notes"] == ["The mask vein is empty."]
    assert content["volumes_ml"]["vein"] == 0
    assert [one["id"] for one in content["structures"]] == ["1", "2", "3"]


def test_the_first_tree_lies_over_the_others_and_the_lesion_over_all(folder, tmp_path):
    for name in ("airway", "vein"):
        scenes.store(scenes.upright(scenes.AIRWAY), tmp_path / "trees" / name / "case_1.nii.gz")
    lesion = scenes.store(scenes.upright((scenes.AIRWAY[0], scenes.AIRWAY[0])), tmp_path / "lesion.nii.gz")
    content, chunks = read_page(page_of(folder, tmp_path / "page.html", trees=tmp_path / "trees", lesion=lesion))
    extras = content["volumes"]["extras"]
    counts = np.bincount(volume_of(extras, chunks).ravel(), minlength=4)
    assert dict(zip(extras["ids"][1:], counts[1:].tolist(), strict=True)) == {"vein": 0, "airway": 511, "lesion": 1}
    assert content["volumes_ml"]["vein"] == content["volumes_ml"]["airway"] == pytest.approx(512 * 3.75 / 1000)
