import json
import shutil

import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.lungs.models import is_model_folder, read_model
from tests.lungs import made_up

SPLITS = [{"train": ["c", "d"], "val": ["a", "b"]}, {"train": ["a", "b"], "val": ["c", "d"]}]


def model_of(base, folds=(0, 1), splits=SPLITS, chosen=None):
    folder = made_up.write_model(base / "nnUNet_results", base / "nnUNet_preprocessed", splits, folds)
    return read_model(folder, "bav", chosen, "checkpoint_final.pth")


def test_each_case_gets_the_fold_that_validated_it(nnunet_folders):
    model = model_of(nnunet_folders)
    assert model.folds == ("0", "1")
    assert {case: model.out_of_fold(case)[0] for case in "abcd"} == {"a": "0", "b": "0", "c": "1", "d": "1"}
    assert model.out_of_fold("c")[1] == model.folder / "fold_1" / "validation" / "c.nii.gz"
    assert model.out_of_fold("new") is None
    model.check_unseen("new")


def test_a_case_that_every_trained_fold_saw(nnunet_folders):
    model = model_of(nnunet_folders, folds=(0,))
    assert model.out_of_fold("a")[0] == "0"
    message = (
        r"c: found that every trained fold of Dataset007_BAV/nnUNetTrainer__nnUNetPlans__3d_fullres \(0\) saw it, "
        "expected a fold that did not; train fold 1 too, or give `bav` a folder"
    )
    with pytest.raises(InputError, match=message):
        model.out_of_fold("c")


def test_folds_that_were_not_chosen_do_not_count(nnunet_folders):
    model = model_of(nnunet_folders, chosen=("1",))
    with pytest.raises(InputError, match=r"a: found that every trained fold .* \(1\) saw it.*train fold 0 too"):
        model.out_of_fold("a")


def test_fold_all_saw_every_case(nnunet_folders):
    model = model_of(nnunet_folders, folds=("all",))
    assert model.folds == ("all",)
    with pytest.raises(InputError, match=r"a: found that every trained fold .* \(all\) saw it"):
        model.out_of_fold("a")
    assert model.out_of_fold("new") is None


def test_a_test_case_that_the_model_was_trained_with(nnunet_folders):
    with pytest.raises(InputError, match=r"d: found a test case that Dataset007_BAV/.* had among its training cases"):
        model_of(nnunet_folders).check_unseen("d")


def test_cases_of_no_fold_are_known_by_their_references(nnunet_folders):
    # nnU-Net copies every training case's labels, those of cases outside a user's split too
    folder = model_of(nnunet_folders).folder
    made_up.write(nnunet_folders / "nnUNet_preprocessed/Dataset007_BAV/gt_segmentations/e.nii.gz", made_up.bav())
    model = read_model(folder, "bav", None, "checkpoint_final.pth")
    with pytest.raises(InputError, match=r"e: found that every trained fold .*train the folds of a cross-validation"):
        model.out_of_fold("e")


def test_without_the_preprocessed_folder_only_validated_cases_are_known(nnunet_folders):
    model = model_of(nnunet_folders, folds=(0,))
    shutil.rmtree(nnunet_folders / "nnUNet_preprocessed" / "Dataset007_BAV")
    model = read_model(model.folder, "bav", None, "checkpoint_final.pth")
    assert model.out_of_fold("b")[0] == "0"
    for check in (model.out_of_fold, model.check_unseen):
        with pytest.raises(
            InputError, match=r"c: found no record of the cases that Dataset007_BAV/.* was trained with"
        ):
            check("c")


def test_a_split_that_was_changed_after_the_training(nnunet_folders):
    model = model_of(nnunet_folders)
    path = nnunet_folders / "nnUNet_preprocessed" / "Dataset007_BAV" / "splits_final.json"
    path.write_text(json.dumps([{"train": ["b", "d"], "val": ["a", "c"]}, {"train": ["a", "c"], "val": ["b", "d"]}]))
    model = read_model(model.folder, "bav", None, "checkpoint_final.pth")
    message = r"fold_0: found a validation of other cases than splits_final\.json names, e\.g\. b, expected the same"
    with pytest.raises(InputError, match=message):
        model.check_folds(["a", "b", "c", "d"])


def test_a_split_of_the_same_validation_and_more_training_cases(nnunet_folders):
    model = model_of(nnunet_folders)
    log = model.folder / "fold_0" / "training_log_1.txt"
    log.write_text("This split has 3 training and 2 validation cases.\n")
    with pytest.raises(InputError, match="fold_0: found a training with 3 and 2 cases by its log, expected 2 and 2 as"):
        model.check_folds(["a"])
    log.write_text(
        "This split has 3 training and 2 validation cases.\nThis split has 2 training and 2 validation cases."
    )
    read_model(model.folder, "bav", None, "checkpoint_final.pth").check_folds(["a"])


def test_a_case_in_both_parts_of_a_fold(nnunet_folders):
    model = model_of(nnunet_folders, splits=[{"train": ["a", "b"], "val": ["a"]}], folds=(0,))
    with pytest.raises(InputError, match=r"found a validation of other cases than .* e\.g\. a"):
        model.check_folds(["a"])


def test_a_validation_that_did_not_finish(nnunet_folders):
    model = model_of(nnunet_folders)
    (model.folder / "fold_1" / "validation" / "summary.json").unlink()
    model.check_folds(["a", "new"])  # fold 1 is not needed
    with pytest.raises(
        InputError,
        match=r"validation: found no finished validation, .*run nnUNetv2_train \.\.\. 1 with `only_run_validation`",
    ):
        model.check_folds(["a", "c"])


def test_folders_that_are_no_models(tmp_path, nnunet_folders):
    assert not is_model_folder(tmp_path)
    folder = model_of(nnunet_folders).folder
    assert is_model_folder(folder)
    with pytest.raises(InputError, match=r"found no checkpoint_best\.pth of fold 0, expected a trained model"):
        read_model(folder, "bav", ("0",), "checkpoint_best.pth")
    with pytest.raises(InputError, match=r"found no fold with checkpoint_best\.pth"):
        read_model(folder, "bav", None, "checkpoint_best.pth")
    with pytest.raises(InputError, match=r"found no checkpoint_final\.pth of fold 4"):
        read_model(folder, "bav", ("0", "4"), "checkpoint_final.pth")
    (folder / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json: found no valid JSON"):
        read_model(folder, "bav", None, "checkpoint_final.pth")


def test_a_fold_beyond_the_split(nnunet_folders):
    model = model_of(nnunet_folders, splits=[*SPLITS, SPLITS[0]], folds=(2,))
    path = nnunet_folders / "nnUNet_preprocessed" / "Dataset007_BAV" / "splits_final.json"
    path.write_text(json.dumps(SPLITS))
    with pytest.raises(InputError, match="fold_2: found a split of 2 folds, expected one with fold 2; leave this fold"):
        read_model(model.folder, "bav", None, "checkpoint_final.pth").check_folds(["a"])
