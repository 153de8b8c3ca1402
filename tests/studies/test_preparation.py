import json

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.io.built_inputs import find_inputs, kind_of_inputs
from impulse_nnunet.studies.options import StudyOptions
from impulse_nnunet.studies.preparation import is_preprocessed, prepare
from impulse_nnunet.studies.scoring import EvaluationCases
from impulse_nnunet.studies.study import chosen_table

TRUTH = {"source": "ground_truth"}
MODEL = {"source": "/models/bav"}


def made(folders, number, settings):
    folder = folders / "nnUNet_raw" / f"Dataset{number}_Made"
    folder.mkdir()
    (folder / "inputs.json").write_text(json.dumps({"complete": True, "settings": settings}))
    return folder


def test_data_sets_that_build_inputs_made_are_found_by_their_record(nnunet_folders):
    ct = str(nnunet_folders / "nnUNet_raw" / "Dataset801_Lungs")
    made(nnunet_folders, 803, {"inputs": "ibav", "ct": ct, "bav": TRUTH})
    made(nnunet_folders, 804, {"inputs": "ibav", "ct": ct, "bav": MODEL})
    made(nnunet_folders, 805, {"inputs": "lbav", "ct": ct, "bav": TRUTH, "lobes": MODEL})
    made(nnunet_folders, 806, {"inputs": "l", "ct": ct, "lobes": TRUTH, "bav": MODEL})
    made(nnunet_folders, 807, {"inputs": "i", "ct": ct, "bav": TRUTH})
    made(nnunet_folders, 808, {"inputs": "ibav", "ct": "/elsewhere/Dataset700_Other", "bav": TRUTH})
    # shapes of l are lobes alone, the image has none; a mixture of both sources counts as the model's
    assert find_inputs("Dataset801_Lungs") == {"ibav_truth": 803, "ibav": 804, "lbav": 805, "l_truth": 806, "i": 807}


def test_a_folder_without_a_record_is_of_no_kind(nnunet_folders):
    assert kind_of_inputs(nnunet_folders) is None


def test_tables_of_inputs_say_what_they_need(nnunet_folders):
    (nnunet_folders / "nnUNet_raw" / "Dataset801_Lungs").mkdir()
    with pytest.raises(InputError, match=r"`table` 4: found inputs none of data set 801, expected two or more"):
        chosen_table(StudyOptions(dataset=801, table="4", output=nnunet_folders))
    with pytest.raises(InputError, match=r"`table` 5: .*expected lbav; build them with impulse_nnunet build_inputs"):
        chosen_table(StudyOptions(dataset=801, table="5", output=nnunet_folders, inputs={"i": 801}))


def test_unknown_rows_are_refused_and_the_reference_follows_the_rows(nnunet_folders):
    with pytest.raises(InputError, match=r"`rows`: found fnc, expected some of nnunet, deeplabv3, fcn"):
        chosen_table(StudyOptions(dataset=801, table="1", output=nnunet_folders, rows=("fnc",)))
    assert (
        chosen_table(StudyOptions(dataset=801, table="1", output=nnunet_folders, rows=("fcn", "plus"))).reference
        == "plus"
    )
    assert (
        chosen_table(StudyOptions(dataset=801, table="1", output=nnunet_folders, rows=("fcn", "lowres"))).reference
        == "fcn"
    )


def test_plans_of_another_name_are_not_made_up(nnunet_folders):
    assert not is_preprocessed("Dataset801_Lungs", "Mine", "3d_impulse")
    with pytest.raises(InputError, match=r"`plans` Mine: found no such plans of Dataset801_Lungs"):
        prepare("Dataset801_Lungs", StudyOptions(dataset=801, table="1", output=nnunet_folders, plans="Mine"), print)


def raw_with(folders, **parts):
    raw = folders / "nnUNet_raw" / "Dataset801_Lungs"
    for name, cases in parts.items():
        folder = raw / name.replace("__", "/")
        folder.mkdir(parents=True)
        for case in cases:
            (folder / f"{case}{'_0000' if name.startswith('images') else ''}.nii.gz").touch()
    (raw / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}))
    return raw


def test_test_cases_come_before_validation_cases_and_trees_must_be_whole(nnunet_folders):
    raw = raw_with(
        nnunet_folders, labelsTs=["x", "y"], imagesTs=["x", "y", "z"], trees__airway=["x", "y"], trees__artery=["x"]
    )
    test = EvaluationCases.of(raw, 0)
    assert (test.cases, test.has_images, dict(test.trees)) == (("x", "y"), True, {})
    (raw / "trees/artery/y.nii.gz").touch()
    assert list(EvaluationCases.of(raw, 0).trees) == ["airway", "artery"]
    (raw / "imagesTs/y_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="no image of some cases of labelsTs"):
        EvaluationCases.of(raw, 0)


def test_without_test_cases_the_folds_validation_cases_serve(nnunet_folders):
    cases = [f"c{number}" for number in range(10)]
    raw = raw_with(nnunet_folders, labelsTr=cases, imagesTr=cases)
    made_by_nnunet = EvaluationCases.of(raw, 1)
    assert len(made_by_nnunet.cases) == 2
    assert not made_by_nnunet.has_images
    preprocessed = nnunet_folders / "nnUNet_preprocessed" / raw.name
    preprocessed.mkdir()
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": cases[3:], "val": cases[:3]}]))
    assert EvaluationCases.of(raw, 0).cases == ("c0", "c1", "c2")
    with pytest.raises(InputError, match="fold 1 of Dataset801_Lungs: found no validation cases"):
        EvaluationCases.of(raw, 1)
