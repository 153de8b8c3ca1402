from dataclasses import replace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.settings import NETWORK_CLASS, TemplateSettings, TrainingSettings, to_json
from impulse_nnunet.trainers.checks import check_losses, check_steps, check_supported, check_weights
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


@pytest.mark.parametrize(("norm", "template"), [("batch", "frequency"), ("instance", "co_trained")])
def test_a_running_mean_of_weights_beside_batch_norm_is_not_supported(norm, template):
    averaged = settings_for(training=TrainingSettings(averaging=0.9), template=TemplateSettings(mode=template))
    network = replace(SMALL, norm=norm)
    plans = plans_with(
        impulse=to_json(averaged),
        architecture={"network_class_name": NETWORK_CLASS, "arch_kwargs": to_json(network)},
    )
    with pytest.raises(NotImplementedError, match=r"training\.averaging is not supported with batch norm"):
        check_supported(plans, "3d_impulse", LABELS)
    check_supported(plans_with(impulse=to_json(settings_for(training=averaged.training))), "3d_impulse", LABELS)


def test_losses_that_are_no_numbers_end_the_training():
    check_losses([0.5, -1.0], 3)
    check_losses([], 3)
    message = r"epoch 3: found 2 step\(s\) with a NaN or infinite loss, expected finite numbers; lower impulse.training"
    with pytest.raises(InputError, match=message):
        check_losses([0.5, float("nan"), 1.0, float("inf")], 3)


def test_an_epoch_without_a_step_of_the_optimiser_ends_the_training():
    check_steps(made=1, asked=250, epoch=3)
    check_steps(made=0, asked=0, epoch=3)  # interrupted between its last step and the validation
    with pytest.raises(InputError, match="epoch 3: found float16 gradients that overflow in all 250 steps, expected"):
        check_steps(made=0, asked=250, epoch=3)


def test_the_first_weights_that_are_no_numbers_are_named():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    check_weights(network, 3)
    with torch.no_grad():
        network[0].bias[1], network[1].weight[0, 0] = float("inf"), float("nan")
    with pytest.raises(InputError, match=r"epoch 3: found NaN or infinite weights in 0\.bias, expected finite numbers"):
        check_weights(network, 3)
