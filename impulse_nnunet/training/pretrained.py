"""Weights of another training as the start of this one: all of them, or the encoder's.

A stock nnU-Net calls its layers ``encoder.stages...`` and ``decoder.stages...``; our networks have the same layers
under other names where the plans say ``unet_encoder``, ``unet`` or a residual encoder. A tensor is taken where the name
leads to one of the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.network.dense import DenseNetwork
from impulse_nnunet.network.encoders import UNetPyramid

ENOUGH = 0.5  # of the encoder's tensors; fewer fit by chance (norms, biases)


@dataclass(frozen=True)
class LoadReport:
    """What was taken.

    Args:
        whole: Whether it is the whole network.
        number: Tensors taken.
        left: Names of the encoder's tensors that stay as they were, each with the reason.
    """

    whole: bool
    number: int
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.whole:
            return f"all {self.number} tensors of the network"
        text = f"{self.number} of {self.number + len(self.left)} tensors of the encoder; the rest starts at random"
        return text + (f" (left out first: {self.left[0]})" if self.left else "")


def take_weights(network: ImPulSeNet, weights: Mapping[str, Tensor], source: str) -> LoadReport:
    """Load what fits of a checkpoint's ``network_weights`` into a network.

    Args:
        network: Receives them.
        weights: Weights of one of our networks, or of a stock nnU-Net.
        source: The file, for the message.

    Raises:
        InputError: Less than half of the encoder fits.
    """
    own = network.state_dict()
    if own.keys() == weights.keys() and all(own[name].shape == weights[name].shape for name in own):
        network.load_state_dict(weights)
        return LoadReport(True, len(own))
    places = _best_places(network, own, weights)
    fitting = {name: weights[place] for name, place in places.items() if _fits(own[name], weights.get(place))}
    if len(fitting) < ENOUGH * len(places):
        raise InputError(
            f"`pretrained_weights` {source}",
            f"{len(fitting)} of the encoder's {len(places)} tensors in it",
            "a checkpoint with the encoder of these plans",
            "for a stock nnU-Net set architecture.arch_kwargs.encoder to unet_encoder, unet or a residual encoder, and "
            "features_per_stage, strides, kernel_sizes and blocks_per_stage to its own (docs/systems.md)",
        )
    network.load_state_dict(own | fitting)
    # nnU-Net registers each layer twice; the second name would only repeat the first
    counted = [name for name in places if ".all_modules." not in name]
    left = tuple(_reason(name, own[name], weights.get(places[name])) for name in counted if name not in fitting)
    return LoadReport(False, len(counted) - len(left), left)


def _best_places(network: ImPulSeNet, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, str]:
    """The encoder's tensors -> their names in the checkpoint, under the naming that serves most of them."""
    dense = isinstance(network.encoder, DenseNetwork)
    prefix = "encoder.pyramid." if dense else "encoder."
    pyramid = network.encoder.pyramid if isinstance(network.encoder, DenseNetwork) else network.encoder
    below = [name.removeprefix(prefix) for name in own if name.startswith(prefix)]
    namings = [
        {name: f"encoder.pyramid.{name}" for name in below},  # one of our dense networks
        {name: f"encoder.{name}" for name in below},  # one of our networks on points; a stock encoder
    ]
    if isinstance(pyramid, UNetPyramid):
        namings.append({name: name if name.startswith("encoder.") else f"decoder.{name}" for name in below})
    best = max(namings, key=lambda naming: sum(_fits(own[prefix + n], weights.get(p)) for n, p in naming.items()))
    return {prefix + name: place for name, place in best.items()}


def _fits(own: Tensor, other: Tensor | None) -> bool:
    return isinstance(other, Tensor) and own.shape == other.shape


def _reason(name: str, own: Tensor, other: Tensor | None) -> str:
    if other is None:
        return f"{name} is not in it"
    return f"{name} is {tuple(other.shape)} there, {tuple(own.shape)} here"
