from dataclasses import replace

import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import SYSTEMS, Task
from impulse_nnunet.network.description import count, describe
from impulse_nnunet.network.memory import FIXED_GB, RESERVED_TO_LIVE, saved_values, training_gb
from impulse_nnunet.network.settings import PAPER
from impulse_nnunet.network.systems import system_of
from tests.support import SMALL

TASK = Task(settings=SMALL, input_channels=2, number_of_classes=3, input_grid=(8, 12, 16))
WITH_LOCALIZER = replace(TASK, search_grid=(4, 6, 8))
WITH_CONTEXT = replace(TASK, settings=replace(SMALL, context_blocks=2))


def test_the_paper_preset_has_the_papers_sizes():
    found = describe(
        Task(settings=PAPER, input_channels=4, number_of_classes=19, input_grid=(128, 128, 128)),
        "impulse_plus",
        "learned",
        4,
        4096,
        "t",
    )
    # FACTS of the release
    expected = {"encoder": 33_225_856, "deformation": 123_715, "correction": 124_755, "template": 47_173_209}
    assert {name: part.parameters for name, part in found.parts.items()} == expected
    assert found.trained_parameters == 33_225_856 + 123_715 + 124_755
    assert [(level.channels, level.grid) for level in found.parts["encoder"].levels] == [
        (64, (128, 128, 128)),
        (128, (64, 64, 64)),
        (256, (32, 32, 32)),
        (512, (16, 16, 16)),
    ]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_parts_add_up_to_the_network(system):
    found = describe(TASK, system, "frequency", 2, 100, "t")
    assert sum(part.parameters for part in found.parts.values()) == count(SYSTEMS[system].build(TASK))
    assert found.trained_parameters == count(SYSTEMS[system].build(TASK))
    assert found.points == (8 * 12 * 16 if SYSTEMS[system].dense else 100)
    assert list(found.parts) == {
        "impulse_plus": ["encoder", "deformation", "correction", "template"],
        "impulse": ["encoder", "correction"],
    }.get(system, ["encoder", "head"])


def test_a_co_trained_template_counts_as_trained():
    mode = "co_trained"
    fixed = describe(TASK, "impulse_plus", "learned", 2, 100, "t")
    trained = describe(replace(TASK, co_trained=True), "impulse_plus", mode, 2, 100, "t")
    generator = trained.parts["template"].parameters
    assert generator == fixed.parts["template"].parameters > 0
    assert trained.trained_parameters == fixed.trained_parameters + generator
    assert (fixed.parts["template"].trained, trained.parts["template"].trained) == ("before", "with the network")


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_saved_is_counted_as_with_real_tensors(system):
    with torch.device("meta"):
        counted = saved_values(SYSTEMS[system].build(TASK).encoder, 2, TASK.input_grid)
    encoder = SYSTEMS[system].build(TASK).encoder
    parameters = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    saved = {}

    def note(tensor):
        if tensor.untyped_storage().data_ptr() not in parameters:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pyramid = encoder(torch.randn(1, 2, *TASK.input_grid))
    assert pyramid
    # kernels on the CPU and on the meta device keep a few small tensors of their own (means, variances)
    assert counted == pytest.approx(sum(saved.values()), rel=0.1)


def test_memory_by_hand():
    # 2 samples x (1e9 values x 1.4 x 2 bytes + 10 points x 5 values x 4 bytes) + 1e8 parameters x 16 bytes
    assert training_gb(10**9, 10**8, 2, 10, 5) == pytest.approx(FIXED_GB + RESERVED_TO_LIVE * (5.6 + 4e-7 + 1.6))


def test_a_trainer_of_another_package_is_refused():
    assert system_of("nnUNetTrainerDeepLabV3") == "deeplabv3"
    with pytest.raises(
        InputError, match="`trainer` nnUNetTrainer: found no trainer of this package, expected nnUNetTrainerIm"
    ):
        system_of("nnUNetTrainer")


def test_a_localizer_is_a_part():
    found = describe(WITH_LOCALIZER, "impulse_plus", "frequency", 2, 64, "t")
    network = SYSTEMS["impulse_plus"].build(WITH_LOCALIZER)
    assert (found.parts["localizer"].parameters, found.parts["localizer"].grid) == (count(network.localizer), (4, 6, 8))
    assert found.trained_parameters == count(network)
    assert "localizer" not in describe(TASK, "impulse_plus", "frequency", 2, 64, "t").parts


def test_context_is_a_part_of_the_systems_on_points():
    found = describe(WITH_CONTEXT, "impulse_plus", "frequency", 2, 64, "t")
    assert found.parts["context"].grid == (4, 6, 8)
    assert found.parts["context"].settings == "2 blocks of self-attention, 32 channels a head"
    # of 8 channels: places 27 -> 8; in each block two norms, 8 -> 24, 8 -> 8, 8 -> 16 -> 8, all with biases
    assert found.parts["context"].parameters == 28 * 8 + 2 * (2 * 16 + 9 * 24 + 9 * 8 + 9 * 16 + 17 * 8)
    assert "context" in describe(WITH_CONTEXT, "impulse", "frequency", 2, 64, "t").parts
    assert "context" not in describe(WITH_CONTEXT, "fcn", "frequency", 2, 64, "t").parts
