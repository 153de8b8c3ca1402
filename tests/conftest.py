"""What all tests share: one thread, random numbers from a seed, hypothesis without a clock."""

import hypothesis
import pytest
import torch

from tests.workplace import labels, planned, trained  # noqa: F401  fixtures of the whole session

hypothesis.settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("reproducible")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: several workers, who take a file at a time, then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _one_thread_seeded():
    torch.set_num_threads(1)  # for each test: commands that run in this process take all cores
    torch.manual_seed(0)


@pytest.fixture
def nnunet_folders(tmp_path, monkeypatch):
    """nnU-Net's three folders, empty; returns the folder that holds them."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path
