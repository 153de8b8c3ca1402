import importlib
import json

import nibabel
import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from impulse_nnunet.errors import CasesFailedError, InputError
from impulse_nnunet.io.assumption import assuming_orientation
from impulse_nnunet.nnunet.planning import (
    dataset_name,
    find_class,
    plan_dataset,
    preprocess_dataset,
    read_raw_dataset_json,
    require_folders,
    survey_raw_dataset,
)
from impulse_nnunet.planners import ImPulSePlanner
from tests.io.headers import change_header
from tests.support import made_up_cases, write_nifti

CONTENT = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "numTraining": 0, "file_ending": ".nii"}


def write_content(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_folder_without_dataset_json(tmp_path):
    with pytest.raises(InputError, match=r"found no such file, expected nnU-Net's dataset\.json; see nnU-Net's"):
        read_raw_dataset_json(tmp_path)


def test_a_dataset_json_that_is_none(tmp_path):
    write_content(tmp_path, "{")
    with pytest.raises(
        InputError, match=r"dataset\.json: found no valid JSON \(.+\), expected nnU-Net's dataset\.json"
    ):
        read_raw_dataset_json(tmp_path)


@pytest.mark.parametrize("key", CONTENT)
def test_a_dataset_json_that_lacks_an_entry(tmp_path, key):
    write_content(tmp_path, {k: v for k, v in CONTENT.items() if k != key})
    with pytest.raises(InputError, match=f"found no entry '{key}', expected nnU-Net's dataset.json; add the entry"):
        read_raw_dataset_json(tmp_path)


def test_the_old_name_of_the_channels_will_do(tmp_path):
    old = {k: v for k, v in CONTENT.items() if k != "channel_names"} | {"modality": {"0": "CT"}}
    write_content(tmp_path, old)
    assert read_raw_dataset_json(tmp_path) == old


def test_folders_must_be_named(nnunet_folders, monkeypatch):
    require_folders()
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(InputError, match="nnUNet_results: found no value, expected a folder; run: eval"):
        require_folders()


@pytest.mark.parametrize("dataset", [704, "704", "Dataset704_Made"])
def test_a_data_set_is_found_by_id_or_name(nnunet_folders, dataset):
    (nnunet_folders / "nnUNet_raw" / "Dataset704_Made").mkdir()
    assert dataset_name(dataset) == "Dataset704_Made"


def test_a_data_set_that_does_not_exist(nnunet_folders):
    message = "dataset 704: found no such data set, expected ID or name of a folder in .*nnUNet_raw; check the ID"
    with pytest.raises(InputError, match=message):
        dataset_name(704)


def test_a_name_that_is_no_data_set(nnunet_folders):
    with pytest.raises(InputError, match="dataset hippo: found no such data set"):
        dataset_name("hippo")


def test_preprocessing_needs_plans(nnunet_folders):
    (nnunet_folders / "nnUNet_raw" / "Dataset704_Made").mkdir()
    message = r"found no ImPulSePlans\.json, expected plans; run impulse_nnunet plan_and_preprocess first"
    with pytest.raises(InputError, match=message):
        preprocess_dataset(704)


def test_a_data_set_without_cases(nnunet_folders):
    raw = nnunet_folders / "nnUNet_raw" / "Dataset704_Made"
    write_content(raw, CONTENT)
    (raw / "imagesTr").mkdir()
    with pytest.raises(InputError, match="imagesTr: found no case, expected training images named CASE_0000"):
        survey_raw_dataset("Dataset704_Made", 1, False)


def test_a_label_map_whose_image_is_missing_or_no_file(nnunet_folders):
    raw = nnunet_folders / "nnUNet_raw" / "Dataset704_Made"
    write_content(raw, CONTENT)
    for folder, names in (("imagesTr", ["a_0000.nii"]), ("labelsTr", ["a.nii", "b.nii", "c.nii", "._a.nii", "b.txt"])):
        (raw / folder).mkdir()
        for name in names:
            (raw / folder / name).touch()
    (raw / "imagesTr" / "b_0000.nii").mkdir()
    message = (
        r"labelsTr/b.nii: found a label map without images and 1 more, expected files imagesTr/b_0000.nii, ...; correct"
    )
    with pytest.raises(InputError, match=message):
        survey_raw_dataset("Dataset704_Made", 1, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"overwrite_target_spacing": [1, 1, 1]},
            r"`overwrite_target_spacing`: found \[1, 1, 1\], expected no such setting",
        ),
        ({"preset": "fast"}, "`preset`: found 'fast', expected one of auto, paper; choose one"),
    ],
)
def test_the_planner_refuses_what_it_cannot_serve(arguments, message):
    with pytest.raises(InputError, match=message):
        ImPulSePlanner("Dataset704_Made", **arguments)


def test_a_setting_that_no_plans_have_is_refused_before_any_case_is_read(nnunet_folders):
    message = "`overrides` impulse.training.epoch: found no such setting, expected a dotted name from the plans file"
    with pytest.raises(InputError, match=message):
        plan_dataset(704, overrides={"impulse.training.epoch": 5})


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "a": 1, "b": 3},
        {"background": 0, "ignore": 1, "a": 2},
        {"0": "background", "1": "a"},
        {"background": 1, "a": 0},
    ],
)
def test_labels_with_gaps_or_in_the_old_style_are_refused(tmp_path, labels):
    content = {"labels": labels, "numTraining": 1, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"dataset\.json: found labels"):
        read_raw_dataset_json(tmp_path)


OWN_CLASSES = """
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from impulse_nnunet.planners import ImPulSePlanner

class OwnPlanner(ImPulSePlanner):
    pass

class OwnExtractor(DatasetFingerprintExtractor):
    runs = 0

    def run(self, overwrite_existing=False):
        OwnExtractor.runs += 1
        return super().run(overwrite_existing)

class Other:
    pass
"""


@pytest.fixture
def own_classes(tmp_path, monkeypatch):
    (tmp_path / "own_classes_of_a_user.py").write_text(OWN_CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_classes_of_a_user"


@pytest.fixture
def made_dataset(nnunet_folders):
    raw = nnunet_folders / "nnUNet_raw" / "Dataset704_Made"
    write_content(raw, CONTENT | {"labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ".nii.gz"})
    for case, (image, segmentation, _) in made_up_cases(2).items():
        for folder, name, array in (("imagesTr", f"{case}_0000", image[0]), ("labelsTr", case, segmentation)):
            (raw / folder).mkdir(exist_ok=True)
            write_nifti(raw / folder / f"{name}.nii.gz", np.asarray(array))
    return raw


LARGE = {"impulse.region.mode": "two_pass", "impulse.grid.input_grid": [64, 64, 72]}


@pytest.mark.parametrize(
    ("overrides", "search_grid"),
    [
        # 24 voxels across 5, 6 and 6 of 8, 9 and 10 voxels are 38.4, 36 and 40; the strides make 2, 1 and 2
        (LARGE, [40, 36, 40]),
        (LARGE | {"impulse.region.mode": "whole"}, []),
        (LARGE | {"impulse.region.search_grid": [8, 8, 8]}, [8, 8, 8]),
    ],
)
def test_the_localizers_grid_follows_from_the_input_grid_that_is_set(made_dataset, overrides, search_grid):
    plans = plan_dataset(704, workers=1, progress_bar=False, overrides=overrides)
    assert list(plans["configurations"]["3d_impulse"]["impulse"]["region"]["search_grid"]) == search_grid


def test_the_papers_preset_has_no_localizer(made_dataset):
    plans = plan_dataset(
        704, workers=1, progress_bar=False, preset="paper", overrides={"impulse.region.mode": "two_pass"}
    )
    assert list(plans["configurations"]["3d_impulse"]["impulse"]["region"]["search_grid"]) == []


def test_a_users_planner_and_fingerprint_extractor_are_used(made_dataset, own_classes):
    plans = plan_dataset(
        704,
        workers=1,
        progress_bar=False,
        planner=f"{own_classes}.OwnPlanner",
        fingerprint_extractor=f"{own_classes}.OwnExtractor",
    )
    assert plans["experiment_planner_used"] == "OwnPlanner"
    assert importlib.import_module(own_classes).OwnExtractor.runs == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("OwnPlanner", "no such class"),
        ("absent_module.OwnPlanner", "no such class"),
        ("own_classes_of_a_user.Absent", "no such class"),
        ("own_classes_of_a_user.Other", "no subclass of ImPulSePlanner"),
    ],
)
def test_a_planner_that_is_none(own_classes, name, found):
    with pytest.raises(InputError, match=f"`planner` {name}: found {found}, expected ImPulSePlanner, or module.Class"):
        find_class(name, ImPulSePlanner, "planner")


# --- headers ---------------------------------------------------------------------------------------------------------

SMALL = {"architecture.arch_kwargs.features_per_stage": [8, 8, 16, 16]}


def rewritten(raw, change):
    """Write every file of a data set again; ``change`` takes a nibabel image and its number."""
    for number, path in enumerate(sorted((raw / "imagesTr").glob("*.nii.gz"))):
        for file in (path, raw / "labelsTr" / path.name.replace("_0000", "")):
            image = nibabel.load(file)
            image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
            nibabel.save(change(image, number), file)


def planned(**arguments):
    plans = plan_dataset(704, workers=1, progress_bar=False, overrides=SMALL, **arguments)
    preprocess_dataset(704, workers=1, progress_bar=False)
    return plans["configurations"]["3d_impulse"]["impulse"]["reading"]


def test_a_slightly_sheared_case_among_others(made_dataset):
    def shear(image, number):
        affine = image.affine.copy()
        affine[0, 2] = 2e-3 * number
        return nibabel.Nifti1Image(np.asarray(image.dataobj), affine)

    rewritten(made_dataset, shear)
    assert (planned()["orientation"], planned()["assume_orientation"]) == ("", False)


def test_labels_that_were_scaled_on_saving(made_dataset):
    before = {file.name: np.asarray(nibabel.load(file).dataobj) for file in (made_dataset / "labelsTr").iterdir()}
    for name, labels in before.items():
        image = nibabel.Nifti1Image(labels.astype(np.float64), np.eye(4))
        image.set_data_dtype(np.int16)
        nibabel.save(image, made_dataset / "labelsTr" / name)
        image = nibabel.load(made_dataset / "imagesTr" / name.replace(".nii", "_0000.nii"))
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.eye(4)), image.get_filename())
    planned()
    references = made_dataset.parents[1] / "nnUNet_preprocessed" / made_dataset.name / "gt_segmentations"
    for name, labels in before.items():
        np.testing.assert_array_equal(np.asarray(nibabel.load(references / name).dataobj), labels)


def mirrored(image, number):
    """The same patient, every second one stored from the other side."""
    return image.as_reoriented(np.array([[0, -1 if number % 2 else 1], [1, 1], [2, 1]]))


@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO"])
def test_orientations_that_differ_under_a_reader_that_does_not_turn(made_dataset, reader):
    rewritten(made_dataset, mirrored)
    content = json.loads((made_dataset / "dataset.json").read_text())
    planned()  # the default reader turns them
    write_content(made_dataset, content | {"overwrite_image_reader_writer": reader})
    message = rf"found {reader}, which does not turn images, with LPS in case_0 and RPS in case_1, expected one"
    with pytest.raises(InputError, match=message):
        planned()


def test_the_orientation_of_all_images_is_noted_where_no_one_turns_them(made_dataset):
    content = json.loads((made_dataset / "dataset.json").read_text())
    write_content(made_dataset, content | {"overwrite_image_reader_writer": "SimpleITKIO"})
    assert planned()["orientation"] == "LPS"


def test_an_assumed_orientation_is_noted_and_preprocessing_goes_by_it(made_dataset, monkeypatch):
    for file in made_dataset.glob("*Tr/*.nii.gz"):
        change_header(file, qform_code=0, sform_code=0)
    with pytest.raises(CasesFailedError, match="found qform_code 0 and sform_code 0, so no orientation"):
        planned()
    with assuming_orientation(True):
        plan_dataset(704, workers=1, progress_bar=False, overrides=SMALL)
    base = preprocess_dataset(704, workers=1, progress_bar=False)
    plans = json.loads((base / "ImPulSePlans.json").read_text())
    assert plans["configurations"]["3d_impulse"]["impulse"]["reading"]["assume_orientation"]


def test_an_oblique_case_is_stored_upright_and_scored_as_it_was_stored(made_dataset):
    """Turned by 30 degrees about z; the trees of its folder are turned with it."""
    turn = np.array([[np.cos(np.pi / 6), -0.5, 0, 0], [0.5, np.cos(np.pi / 6), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    def oblique(image, number):
        return nibabel.Nifti1Image(np.asarray(image.dataobj), turn @ image.affine if number else image.affine)

    rewritten(made_dataset, oblique)
    (made_dataset / "trees").mkdir()
    for file in (made_dataset / "labelsTr").iterdir():
        (made_dataset / "trees" / file.name).write_bytes(file.read_bytes())
    content = json.loads((made_dataset / "dataset.json").read_text())
    write_content(made_dataset, content | {"impulse_trees": ["trees"]})
    assert len(planned()["margins"]) == 6
    base = made_dataset.parents[1] / "nnUNet_preprocessed" / made_dataset.name
    data = nnUNetDatasetBlosc2(str(next(base.glob("*3d_impulse"))))
    segmentation, properties = data.load_case("case_1")[1], data.load_case("case_1")[3]
    assert set(np.unique(segmentation)) <= {-1, 0, 1, 2}
    assert {1, 2} <= set(np.unique(segmentation))
    voxels = properties["impulse"]["mask_voxels"]
    assert np.all(segmentation[0][tuple(voxels.T)] > 0)
    stored = nibabel.load(base / "gt_segmentations" / "case_1.nii.gz")
    np.testing.assert_array_equal(stored.affine, nibabel.load(made_dataset / "labelsTr" / "case_1.nii.gz").affine)
