import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.outputs.page.files import case_files
from tests.outputs.page import scenes


@pytest.fixture
def labels(tmp_path):
    return scenes.write_case(tmp_path)


def test_folders_with_the_same_case(labels, tmp_path):
    found = case_files(
        "case_1", labels, images=tmp_path / "images", trees=tmp_path / "trees", lesion=tmp_path / "lesions"
    )
    assert found.image == tmp_path / "images" / "case_1_0000.nii.gz"
    assert found.trees == {"airway": tmp_path / "trees" / "airway" / "case_1.nii.gz"}
    assert found.lesion == tmp_path / "lesions" / "case_1.nii.gz"


def test_folders_beside_the_trees_are_no_trees(labels, tmp_path):
    for name in ("lobe", "airway_labels", "vein", "interseg"):
        scenes.store(scenes.upright(scenes.AIRWAY), tmp_path / "trees" / name / "case_1.nii.gz")
    assert list(case_files("case_1", labels, trees=tmp_path / "trees").trees) == ["airway", "vein", "interseg"]


def test_trees_of_one_case_in_a_folder_with_its_segments(tmp_path):
    labels = scenes.store(scenes.upright(scenes.LESION), tmp_path / "segments.nii.gz")
    for name in ("vein", "airway", "bronchial_artery", "notes"):
        scenes.store(scenes.upright(scenes.AIRWAY), tmp_path / f"{name}.nii.gz")
    found = case_files("segments", labels, trees=tmp_path).trees
    assert list(found) == ["airway", "vein", "bronchial_artery"]  # what is not called like a tree is none


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"images": "labels"}, None),  # CASE.* without a channel
        ({"images": "lesions/none"}, "`ct`: found .* which does not exist"),
        ({"images": "trees"}, r"nothing of case case_1, expected case_1_0000.\* or case_1.\*"),
        ({"lesion": "images"}, r"nothing of case case_1, expected case_1.\*"),
        ({"trees": "images"}, "no tree of case case_1"),
        ({"trees": "gone"}, "gone: found no such folder, expected a folder with airway"),
    ],
)
def test_what_was_asked_for_and_is_not_there(labels, tmp_path, how, message):
    places = {name: tmp_path / place for name, place in how.items()}
    if message is None:
        assert case_files("case_1", labels, **places).image == labels
        return
    with pytest.raises(InputError, match=message):
        case_files("case_1", labels, **places)


def test_a_tree_that_lacks_the_case_is_told(labels, tmp_path):
    scenes.store(scenes.upright(scenes.AIRWAY), tmp_path / "trees" / "vein" / "case_2.nii.gz")
    with pytest.raises(InputError, match=r"case_1: found no vein file in .*trees, expected one for each tree"):
        case_files("case_1", labels, trees=tmp_path / "trees")
