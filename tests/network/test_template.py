import numpy as np
import pytest
import torch
from scipy import ndimage

from impulse_nnunet.network import TemplateGenerator, template
from impulse_nnunet.network.template import Template


def test_generator_has_the_size_of_the_release():
    with torch.device("meta"):
        generator = TemplateGenerator(19, (128, 128, 128))
    assert sum(p.numel() for p in generator.parameters()) == 47_173_209  # FACTS


@pytest.mark.parametrize("grid", [(6, 8, 4), (3, 20, 70), (64, 64, 64)])
def test_generator_fills_any_grid(monkeypatch, grid):
    monkeypatch.setattr(template, "LATENT_SIZE", 4)
    monkeypatch.setattr(template, "CHANNELS", (3,) * 6)
    assert TemplateGenerator(5, grid)().shape == (1, 5, *grid)


def test_the_generators_edges_double_level_by_level():
    with torch.device("meta"):
        sizes = TemplateGenerator(19, (128, 128, 128)).sizes
    # one enlargement before the first convolution and one after each: 1 -> 2 -> ... -> 128
    assert sizes == [[n] * 3 for n in (2, 4, 8, 16, 32, 64, 128)]


def test_template_is_interpolated_as_scipy_does():
    rng = np.random.default_rng(0)
    logits, points = rng.normal(size=(3, 4, 6, 8)), rng.uniform(-1.2, 1.2, (2, 50, 3))
    fixed = Template(3, (4, 6, 8)).double()
    fixed.set_logits(torch.tensor(logits))
    values = fixed(torch.tensor(points))
    index = ((points + 1) * np.array([4, 6, 8]) - 1) / 2
    for label in range(3):
        expected = ndimage.map_coordinates(logits[label], index.reshape(-1, 3).T, order=1, mode="nearest")
        np.testing.assert_allclose(values[..., label], expected.reshape(2, 50), atol=1e-12)


def test_template_of_another_shape_is_refused():
    message = r"template logits have shape \(3, 4, 4, 4\), expected \(3, 4, 6, 8\)"
    with pytest.raises(ValueError, match=message):
        Template(3, (4, 6, 8)).set_logits(torch.zeros(3, 4, 4, 4))


def test_template_is_kept_in_the_state_and_is_no_parameter():
    fixed = Template(2, (2, 3, 4))
    fixed.set_logits(torch.arange(48.0).reshape(2, 2, 3, 4))
    assert list(fixed.parameters()) == []
    other = Template(2, (2, 3, 4))
    other.load_state_dict(fixed.state_dict())
    assert torch.equal(other.logits[0], torch.arange(48.0).reshape(2, 2, 3, 4))
    assert other.number_of_classes == 2
