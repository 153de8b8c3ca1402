from impulse_nnunet.runtime.cpus import usable_cpus, usable_threads


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
