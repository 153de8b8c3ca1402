import os

from impulse_nnunet.environment import (
    ensure_variables,
    needed_variables,
    trainer_folder,
    usable_cpus,
    usable_threads,
    with_our_folder,
)

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


def test_a_job_uses_the_cores_that_it_was_given(monkeypatch):
    for name in ("SLURM_CPUS_PER_TASK", "LSB_DJOB_NUMPROC", "NSLOTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert usable_cpus() == 64
    monkeypatch.setenv("NSLOTS", "8")
    assert usable_cpus() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "100")  # more than there are
    assert usable_cpus() == 8
    monkeypatch.setenv("NSLOTS", "many")
    assert usable_cpus() == 64


def test_threads_are_no_more_than_was_asked_for(monkeypatch):
    for name in ("SLURM_CPUS_PER_TASK", "LSB_DJOB_NUMPROC", "NSLOTS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_threads() == 8
    for asked, given in (("3", 3), ("16", 8), ("2,4", 2), ("", 8), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert usable_threads() == given
