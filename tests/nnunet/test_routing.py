"""Which devices stock prediction is let onto; its labels are compared with ours in tests/end_to_end."""

from types import SimpleNamespace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.inference.ensemble import ensemble_of
from tests.support import small_network


def predictor_on(device):
    network = small_network()
    return SimpleNamespace(network=network, list_of_parameters=[network.state_dict()], device=torch.device(device))


def test_a_missing_gpu_is_one_line_in_stock_prediction_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="`device`: found cuda, expected a device of this machine; give `device` cpu"):
        ensemble_of(predictor_on("cuda"))


def test_mps_is_refused_in_stock_prediction_too():
    with pytest.raises(
        InputError, match="`device`: found mps, expected cpu or cuda; positions are computed in float64"
    ):
        ensemble_of(predictor_on("mps"))


def test_the_cpu_carries_the_folds():
    assert len(ensemble_of(predictor_on("cpu")).decoders) == 1
