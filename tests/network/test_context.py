"""Self-attention on the coarsest level: the identity at first, then what PyTorch's own layers compute."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from impulse_nnunet.network import NetworkSettings, build_network
from impulse_nnunet.network.context import AttentionBlock, GlobalContext, position_features
from tests.support import SMALL, small_network

WITH_CONTEXT = replace(SMALL, context_blocks=2)


def trained(module):
    """All weights random: the last layers too."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    return module


def test_it_starts_as_the_identity():
    level = torch.randn(2, 8, 3, 4, 5)
    assert torch.equal(GlobalContext(8, 2)(level), level)


def test_a_fresh_network_with_context_is_the_one_without():
    torch.manual_seed(0)
    plain = small_network()
    torch.manual_seed(0)
    with_context = build_network(WITH_CONTEXT, 2, 3)
    with_context.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(2, 2, 4, 6, 8)
    for expected, found in zip(plain.encode(image), with_context.encode(image), strict=True):
        torch.testing.assert_close(found, expected)


def test_one_block_as_pytorchs_own_attention():
    block, nodes, places = trained(AttentionBlock(64)), torch.randn(2, 7, 64), torch.randn(7, 64)
    assert block.heads == 2
    attention = nn.MultiheadAttention(64, 2, batch_first=True)
    attention.in_proj_weight.data = block.queries_keys_values.weight.data
    attention.in_proj_bias.data = block.queries_keys_values.bias.data
    attention.out_proj.weight.data, attention.out_proj.bias.data = block.attended.weight.data, block.attended.bias.data
    given = block.norms[0](nodes) + places
    middle = nodes + attention(given, given, given, need_weights=False)[0]
    expected = middle + block.last(functional.gelu(block.hidden(block.norms[1](middle))))
    torch.testing.assert_close(block(nodes, places), expected, rtol=1e-4, atol=1e-4)


def test_every_node_sees_every_other_and_only_of_its_own_sample():
    context = trained(GlobalContext(8, 1)).double()
    level = torch.randn(2, 8, 3, 4, 5, dtype=torch.float64)
    before = context(level)
    level[0, 3, 0, 0, 0] += 1  # of one channel: a norm takes a constant away
    moved = (context(level) - before).abs().amax(1)
    assert torch.all(moved[0] > 0)
    assert torch.all(moved[1] == 0)


def test_nodes_of_one_kind_are_told_apart_by_their_places():
    level = torch.zeros(1, 8, 3, 4, 5)
    seen = trained(GlobalContext(8, 2))(level).flatten(2)[0]
    # alike nodes attend alike to all places, so the first block leaves them alike but for their own query
    assert len(torch.unique(seen.round(decimals=5), dim=1).T) == 60


def test_position_features_by_hand():
    found = position_features(torch.tensor([[1.0, 0.0, -0.5]]))[0]
    # sines of half pi, pi, 2 pi and 4 pi times each of 1, 0, -0.5; then the cosines
    half = 2**-0.5
    sines = [1, 0, 0, 0, 0, 0, 0, 0, -half, -1, 0, 0]
    cosines = [0, -1, 1, 1, 1, 1, 1, 1, half, 0, -1, 1]
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, -0.5, *sines, *cosines]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 8, 31, 33, 48, 96, 128])
def test_any_number_of_channels(channels):
    assert GlobalContext(channels, 1)(torch.randn(1, channels, 2, 3, 4)).shape == (1, channels, 2, 3, 4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_type_and_memory_format_stay(layout, dtype):
    level = torch.randn(2, 8, 3, 4, 5).to(dtype).contiguous(memory_format=layout)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = trained(GlobalContext(8, 1))(level)
    assert seen.dtype == dtype
    assert seen.is_contiguous(memory_format=layout)


def test_all_weights_learn():
    network = trained(build_network(WITH_CONTEXT, 2, 3))
    network(torch.randn(1, 2, 4, 6, 8), torch.rand(1, 50, 3)).logits.square().sum().backward()
    for name, parameter in network.context.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_what_is_saved_is_about_what_is_counted():
    context, level, saved = GlobalContext(64, 2), torch.randn(1, 64, 6, 7, 8), {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in context.parameters()}

    def note(tensor):
        if tensor.untyped_storage().data_ptr() not in parameters:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        assert context(level).shape == level.shape
    assert context.saved_values(6 * 7 * 8) == pytest.approx(sum(saved.values()), rel=0.15)


def test_fewer_than_no_blocks_are_refused():
    with pytest.raises(ValueError, match="context_blocks is -1; expected 0 or more"):
        NetworkSettings(context_blocks=-1)
