import json

import numpy as np
import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.pipeline import PipelineOptions, plan_pipeline
from impulse_nnunet.lungs.stages import CommonOptions, StageOptions
from tests.lungs import made_up
from tests.lungs.test_build import build, content

STOCK = StageOptions(part="bav", trainer="nnUNetTrainer", planner="ExperimentPlanner", configuration="3d_fullres")
SPLITS = [{"train": ["c", "d"], "val": ["a", "b"]}, {"train": ["a", "b"], "val": ["c", "d"]}]


@pytest.fixture
def split(ct, nnunet_folders):
    """The CT data set with two folds, since it has too few cases for nnU-Net's five."""
    folder = nnunet_folders / "nnUNet_preprocessed" / ct.name
    folder.mkdir()
    (folder / "splits_final.json").write_text(json.dumps(SPLITS))
    return ct


def plan(kind, **more):
    bav = more.pop("bav_stage", STOCK)
    options = {"common": CommonOptions(device="cpu", processes=1), "lobe_stage": StageOptions(part="lobes")} | more
    return plan_pipeline(
        PipelineOptions(ct="1", kind=kind, bav_stage=bav, segment_stage=StageOptions(part="segments"), **options)
    )


def names(kind, **more):
    return [step.name for step in plan(kind, **more).steps]


ENDING = ["inputs", "segments_plan", "segments_train_0", "segments_train_1", "predict", "evaluate", "report"]
BAV_STEPS = ["bav_data", "bav_plan", "bav_train_0", "bav_train_1"]
LOBE_STEPS = ["lobes_data", "lobes_plan", "lobes_train_0", "lobes_train_1"]


@pytest.mark.parametrize(
    ("kind", "before"), [("i", []), ("ibav", BAV_STEPS), ("l", LOBE_STEPS), ("lbav", BAV_STEPS + LOBE_STEPS)]
)
def test_each_input_trains_the_shapes_that_it_needs(split, kind, before):
    assert names(kind) == before + ENDING


def test_given_shapes_are_not_trained(split):
    assert names("lbav", bav="ground_truth", lobes="ground_truth") == ENDING
    command = plan("lbav", bav="ground_truth", lobes="ground_truth", bav_labels=("totalsegmentator",)).steps[0].commands
    assert " ".join(command[0]).endswith(
        "--bav ground_truth --lobes ground_truth --bav_labels totalsegmentator -device cpu"
    )


def test_commands_and_places(split, nnunet_folders):
    pipeline = plan("ibav", folds=("1",))
    by_name = {step.name: step for step in pipeline.steps}
    model = "Dataset002_Chest_BAV/nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert by_name["bav_train_1"].commands == (
        (
            "nnUNetv2_train",
            "Dataset002_Chest_BAV",
            "3d_fullres",
            "1",
            "-tr",
            "nnUNetTrainer",
            "-p",
            "nnUNetPlans",
            "-device",
            "cpu",
        ),
    )
    assert by_name["bav_train_1"].record == nnunet_folders / "nnUNet_results" / model / "step_fold_1.json"
    assert pipeline.shape_models == {"bav": nnunet_folders / "nnUNet_results" / model}
    assert str(pipeline.shape_models["bav"]) in by_name["inputs"].commands[0]
    assert by_name["segments_train_1"].commands[0][1] == "Dataset004_Chest_IBAV"
    assert "segments_train_0" not in by_name
    command = by_name["predict"].commands[0]
    assert command[command.index("-f") + 1] == "1"
    assert command[command.index("-f") + 2] == "-i"


def test_the_planners_own_plans_name(split):
    stage = StageOptions(
        part="bav", trainer="nnUNetTrainer", planner="nnUNetPlannerResEncL", configuration="3d_fullres"
    )
    assert stage.plans_name == "nnUNetResEncUNetLPlans"
    with pytest.raises(InputError, match="bav: planner: found 'Nobody', expected ImPulSePlanner or one of nnU-Net's"):
        plan(
            "ibav",
            bav_stage=StageOptions(part="bav", trainer="nnUNetTrainer", planner="Nobody", configuration="3d_fullres"),
        )
    with pytest.raises(InputError, match="nnU-Net's planners have no such settings"):
        StageOptions(
            part="bav",
            trainer="nnUNetTrainer",
            planner="ExperimentPlanner",
            configuration="3d_fullres",
            settings=("a=1",),
        )


def test_a_data_set_with_bav_labels_is_used_as_it_is(split, nnunet_folders):
    folder = nnunet_folders / "nnUNet_raw" / "Dataset002_Vessels"
    folder.mkdir()
    description = {"channel_names": {"0": "CT"}, "numTraining": 4, "file_ending": ".nii.gz"}
    labels = {"background": 0, "airway": 1, "artery": 2, "vein": 3}
    (folder / "dataset.json").write_text(json.dumps(description | {"labels": labels}))
    assert names("ibav")[0] == "bav_plan"
    (folder / "dataset.json").write_text(json.dumps(description | {"labels": {"background": 0, "tumour": 1}}))
    with pytest.raises(InputError, match=r"labels without 'bronchus'.*`bav_dataset`"):
        plan("ibav")


def test_without_test_cases_the_validations_are_scored(nnunet_folders):
    folder = nnunet_folders / "nnUNet_raw" / "Dataset001_Chest"
    made_up.write_ct_dataset(folder, training=("a", "b", "c", "d", "e"), test=())
    steps = {step.name: step for step in plan("i").steps}
    assert steps["predict"].commands[0][0] == "nnUNetv2_accumulate_crossval_results"
    assert steps["predict"].commands[0][-8:-2] == ("-f", "0", "1", "2", "3", "4")
    assert any(part.endswith("labelsTr") for part in steps["evaluate"].commands[0])


def test_what_is_refused_before_anything_is_written(ct, nnunet_folders):
    with pytest.raises(InputError, match=r"Dataset001_Chest: found 4 training cases, expected 5 for nnU-Net's folds"):
        plan("ibav")
    with pytest.raises(InputError, match=r"`lobes`: found ground_truth, expected none with `kind` i"):
        plan("i", lobes="ground_truth")
    for name in ("airway", "artery", "vein"):
        for file in (ct / "trees" / name).iterdir():
            file.unlink()
        (ct / "trees" / name).rmdir()
    with pytest.raises(InputError, match=r"trees/airway: found no such folder.*`bav_dataset`"):
        plan("ibav")
    assert sorted(path.name for path in (nnunet_folders / "nnUNet_results").iterdir()) == []
    assert [path.name for path in (nnunet_folders / "nnUNet_raw").iterdir()] == [ct.name]


@pytest.mark.parametrize("what", ["lobes", "bav"])
def test_label_maps_of_the_first_stage_are_joined(ct, nnunet_folders, what):
    folder = build(nnunet_folders, "i", bav=None, labels=what)
    wanted = made_up.lobes() if what == "lobes" else made_up.bav()
    np.testing.assert_array_equal(made_up.read(folder / "labelsTr" / "a.nii.gz"), wanted)
    np.testing.assert_array_equal(made_up.read(folder / "labelsTs" / "t.nii.gz"), wanted)
    labels = content(folder)["labels"]
    assert list(labels.values()) == list(range(len(labels)))
    assert list(labels)[1] == ("right upper lobe" if what == "lobes" else "bronchus")
    assert "lobes" not in content(folder)


def test_where_trees_meet_the_first_shows(ct, nnunet_folders):
    made_up.write(ct / "trees" / "artery" / "a.nii.gz", np.ones(made_up.SHAPE, np.uint8))
    folder = build(nnunet_folders, "i", bav=None, labels="bav")
    found = made_up.read(folder / "labelsTr" / "a.nii.gz")
    np.testing.assert_array_equal(found, np.where(made_up.tree("airway") > 0, 1, 2))
