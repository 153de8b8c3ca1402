import pytest
import torch

from impulse_nnunet.network.heads import PointHead


def number_of_parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("out_features", "parameters"), [(3, 123_715), (19, 124_755)])
def test_heads_have_the_sizes_of_the_release(out_features, parameters):
    # FACTS; by hand: 2 x 963 x 64 weights, 2 x 2 x 64 of the norms, (64 + 1) x outputs
    assert parameters == 2 * 963 * 64 + 4 * 64 + 65 * out_features
    assert number_of_parameters(PointHead(963, 64, out_features, 0.3)) == parameters


def test_a_fresh_head_gives_zero():
    assert torch.count_nonzero(PointHead(5, 4, 3, 0.0)(torch.randn(2, 7, 5))) == 0


def test_each_point_is_treated_alone():
    head = PointHead(5, 4, 3, 0.0)
    torch.nn.init.normal_(head.last.weight)
    points = torch.randn(2, 7, 5)
    together = head(points)
    assert together.shape == (2, 7, 3)
    torch.testing.assert_close(head(points[1, 4]), together[1, 4])


def test_dropout_acts_in_training_only():
    head = PointHead(5, 64, 3, 0.5)
    torch.nn.init.normal_(head.last.weight)
    encoding = torch.randn(1, 5)
    assert not torch.equal(head(encoding), head(encoding))
    head.eval()
    assert torch.equal(head(encoding), head(encoding))
