"""``nnUNetv2_train -pretrained_weights FILE`` for our networks: all weights that fit, or the encoder's.

nnU-Net's function wants every tensor but the segmentation layers to fit, and is called by name with no hook for a
trainer. It is wrapped where ``nnUNetv2_train`` looks it up, when ``impulse_nnunet.trainers`` is imported; for every
other network the original runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from nnunetv2.run import run_training
from torch import Tensor, nn

from impulse_nnunet.errors import InputError
from impulse_nnunet.network import ImPulSeNet
from impulse_nnunet.network.weight_names import with_current_names
from impulse_nnunet.network.wrapping import bare_network
from impulse_nnunet.security.checkpoints import load_checkpoint
from impulse_nnunet.training.pretrained import take_weights

MARK = "_takes_encoders_of_impulse_nnunet"


def route_pretrained_weights() -> None:
    """Wrap nnU-Net's function, once."""
    stock = run_training.load_pretrained_weights
    if not hasattr(stock, MARK):
        run_training.load_pretrained_weights = _routed(stock)


def _routed(stock: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(stock)
    def load(network: nn.Module, fname: str, verbose: bool = False) -> None:
        ours = bare_network(network)
        if not isinstance(ours, ImPulSeNet):
            stock(network, fname, verbose)
            return
        ours.origin = f"{fname}: {take_weights(ours, network_weights(fname), fname)}"

    setattr(load, MARK, True)
    return load


def network_weights(path: str) -> dict[str, Tensor]:
    """The weights in a checkpoint of nnU-Net; code in the file is not run.

    Raises:
        InputError: The file cannot be read so, or holds no weights.
    """
    weights = load_checkpoint(path).get("network_weights")
    if not isinstance(weights, dict):
        raise InputError(
            f"`pretrained_weights` {path}", "no network_weights", "a checkpoint of nnU-Net", "check the file"
        )
    return with_current_names(weights)
