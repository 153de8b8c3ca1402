import pytest

from impulse_nnunet.errors import InputError
from impulse_nnunet.settings import NETWORK_CLASS, to_json
from impulse_nnunet.trainers.checks import check_supported
from tests.support import SMALL, settings_for

LABELS = {"labels": {"background": 0, "a": 1, "b": 2}}


def plans_with(**changes):
    configuration = {
        "batch_size": 4,
        "impulse": to_json(settings_for()),
        "architecture": {"network_class_name": NETWORK_CLASS, "arch_kwargs": to_json(SMALL)},
    }
    return {"plans_name": "ImPulSePlans", "configurations": {"3d_impulse": configuration | changes}}


def test_our_own_plans_are_served():
    check_supported(plans_with(), "3d_impulse", LABELS)


def test_an_unknown_configuration():
    message = "configuration 3d_fullres: found no such entry in ImPulSePlans, expected 3d_impulse; train 3d_impulse"
    with pytest.raises(InputError, match=message):
        check_supported(plans_with(), "3d_fullres", LABELS)


def test_another_planners_configuration():
    plans = plans_with()
    del plans["configurations"]["3d_impulse"]["impulse"]
    with pytest.raises(InputError, match="found a configuration without 'impulse'"):
        check_supported(plans, "3d_impulse", LABELS)


def test_another_planners_network():
    architecture = {"network_class_name": "PlainConvUNet", "arch_kwargs": {}}
    with pytest.raises(InputError, match="found the network PlainConvUNet"):
        check_supported(plans_with(architecture=architecture), "3d_impulse", LABELS)


def test_regions_are_not_supported():
    with pytest.raises(NotImplementedError, match="region-based labels are not supported by nnUNetTrainerImPulSe; use"):
        check_supported(plans_with(), "3d_impulse", {"labels": {"background": 0, "whole": [1, 2], "core": 2}})


@pytest.mark.parametrize("key", ["previous_stage", "next_stage"])
def test_cascades_are_not_supported(key):
    with pytest.raises(NotImplementedError, match="cascades are not supported by nnUNetTrainerImPulSe; remove"):
        check_supported(plans_with(**{key: "3d_lowres"}), "3d_impulse", LABELS)
