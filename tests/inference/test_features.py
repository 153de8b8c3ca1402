import pytest
import torch

from impulse_nnunet.errors import InputError
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.inference.ensemble import Ensemble
from impulse_nnunet.inference.features import all_finite, check_features
from tests.support import small_network

GRID = (4, 6, 8)
KINDS = (torch.float16, torch.bfloat16, torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_values_of_a_precision_are_finite(kind):
    largest = torch.finfo(kind).max  # two of them have an infinite sum
    assert all_finite([torch.full((2, 3), largest, dtype=kind), torch.full((4,), -largest, dtype=kind)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_single_value_is_found(value, kind):
    level = torch.zeros(1, 2, 3, 4, 5, dtype=kind)
    level[0, 1, 2, 3, 4] = value
    assert not all_finite([torch.zeros(2), level])


@pytest.mark.parametrize(
    ("intensity", "cause"),
    [(3.0, "the image looks sound: check the model's weights"), (60000.0, "the image is the likely cause: check its")],
)
def test_the_error_names_the_case_and_the_likely_cause(intensity, cause):
    volume = torch.tensor([-1.0, intensity]).half().reshape(1, 1, 1, 2)
    message = rf"case_7: found NaN or infinite features \(normalised intensities from -1 to {intensity:g}\), expected"
    with pytest.raises(InputError, match=message) as error:
        check_features([[torch.tensor([float("nan")])]], volume, "case_7")
    assert cause in str(error.value)
    assert "\n" not in str(error.value)


def test_ruined_weights_end_the_case_in_place_of_background():
    network = small_network(channels=1)
    with torch.no_grad():
        next(network.encoder.parameters())[0] = float("nan")
    ensemble = Ensemble(network, None, torch.device("cpu"))
    with pytest.raises(InputError, match="case_7: found NaN or infinite features"):
        ensemble.encode(torch.randn(1, *GRID).half(), Box.whole(), GRID, "case_7")


def test_one_ruined_fold_of_two_is_enough():
    states = [small_network(channels=1).state_dict() for _ in range(2)]
    for name, value in states[1].items():
        if name.startswith("encoder."):
            value.fill_(float("inf"))
    ensemble = Ensemble(small_network(channels=1), states, torch.device("cpu"))
    with pytest.raises(InputError, match="NaN or infinite features"):
        ensemble.encode(torch.randn(1, *GRID).half(), Box.whole(), GRID)


def test_an_image_that_is_no_number_ends_its_case():
    ensemble = Ensemble(small_network(channels=1), None, torch.device("cpu"))
    volume = torch.randn(1, *GRID).half()
    volume[0, 1, 2, 3] = float("nan")
    with pytest.raises(InputError, match=r"image: found NaN or infinite features .* from nan to nan.* likely cause"):
        ensemble.encode(volume, Box.whole(), GRID)
