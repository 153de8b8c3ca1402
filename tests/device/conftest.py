"""The tiny data set and the model of the device tests, made once for this folder."""

import pytest
import torch

from tests.device.tiny_model import DEVICE, tiny_data, train_with_an_interruption


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    with tiny_data(tmp_path_factory.mktemp("device")) as base:
        yield base


@pytest.fixture(scope="package")
def model(data):
    torch.set_num_threads(1)
    return train_with_an_interruption(data, DEVICE)
