"""Memory of the machine and of control groups, from made-up files of the system."""

import pytest

from impulse_nnunet.training import memory
from impulse_nnunet.training.memory import available_bytes, cache_bytes, group_limits

GIB = 1024**3


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_version_2_limits_of_all_groups_around(tmp_path):
    write(tmp_path / "memory.max", "max\n")
    write(tmp_path / "slurm/memory.max", f"{64 * GIB}\n")
    write(tmp_path / "slurm/job_1/memory.max", f"{16 * GIB}\n")
    write(tmp_path / "other/memory.max", "1\n")
    assert sorted(group_limits(["0::/slurm/job_1/step_0"], tmp_path)) == [16 * GIB, 64 * GIB]


def test_version_1_counts_memory_alone(tmp_path):
    write(tmp_path / "memory/slurm/job_1/memory.limit_in_bytes", f"{8 * GIB}\n")
    write(tmp_path / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    lines = ["12:cpuset:/slurm/job_1", "9:memory:/slurm/job_1", "1:name=systemd:/elsewhere"]
    assert min(group_limits(lines, tmp_path)) == 8 * GIB


def test_a_root_group_without_limit(tmp_path):
    assert group_limits(["0::/"], tmp_path) == []


def test_the_smaller_of_machine_and_job(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "groups")
    write(tmp_path / "meminfo", f"MemTotal: 1 kB\nMemAvailable:   {32 * 1024**2} kB\nCached: 5 kB\n")
    write(tmp_path / "cgroup", "0::/job\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path / "cgroup") == 32 * GIB
    write(tmp_path / "groups/job/memory.max", f"{24 * GIB}\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path / "cgroup") == 24 * GIB


def test_without_files_of_the_system_the_machines_memory_counts(tmp_path):
    assert available_bytes(tmp_path / "none", tmp_path / "none") > GIB // 4


@pytest.mark.parametrize(("available", "processes", "expected"), [(128, 1, 32), (128, 4, 8), (4, 1, 2), (128, 64, 2)])
def test_a_quarter_shared_and_never_less_than_2_gib(available, processes, expected, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: available * GIB)
    assert cache_bytes(processes) == expected * GIB
