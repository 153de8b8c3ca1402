import os

from impulse_nnunet.runtime.environment import ensure_variables, needed_variables, trainer_folder, with_our_folder

OURS = str(trainer_folder())


def test_the_trainer_folder_holds_trainers():
    assert [p.name for p in trainer_folder().glob("*_trainers.py")] == ["impulse_nnunet_trainers.py"]


def test_our_folder_comes_last_and_once():
    assert with_our_folder(None) == OURS
    assert with_our_folder("/a") == os.pathsep.join(["/a", OURS])
    assert with_our_folder(os.pathsep.join([OURS, "/a", ""])) == os.pathsep.join(["/a", OURS])


def test_only_unset_folders_are_needed(tmp_path):
    needed = needed_variables({"nnUNet_raw": "/raw"}, tmp_path)
    assert needed == {
        "nnUNet_extTrainer": OURS,
        "nnUNet_preprocessed": str(tmp_path / "nnUNet_preprocessed"),
        "nnUNet_results": str(tmp_path / "nnUNet_results"),
    }


def test_this_process_is_told_where_the_trainer_is(monkeypatch):
    monkeypatch.setenv("nnUNet_extTrainer", "/a")
    ensure_variables()
    assert os.environ["nnUNet_extTrainer"] == os.pathsep.join(["/a", OURS])
