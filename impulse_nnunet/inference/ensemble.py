"""The networks that predict together: those of a model's folds, and how they are taken from a predictor."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from impulse_nnunet.decoding import EncodedBox
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.geometry.resampling import image_on_box
from impulse_nnunet.inference.features import check_features
from impulse_nnunet.network import Decoder, ImPulSeNet
from impulse_nnunet.network.weight_names import with_current_names
from impulse_nnunet.network.wrapping import bare_network
from impulse_nnunet.runtime.devices import check_device
from impulse_nnunet.settings import ImPulSeSettings, settings_from_configuration

# Of the encoder on CUDA. TF32 convolutions are as fast as bfloat16 at a tenth of its error (docs/benchmarks.md).
PRECISIONS = ("tf32", "half", "float32")


class Ensemble:
    """One network and the weights of its folds; decoders are kept apart, the encoder takes the weights in turn.

    Args:
        network: Carries the encoder's weights of the fold at work.
        parameters: State dict of each fold; None uses the network as it is.
        device: Where to compute.
        precision: Precision of the encoder on CUDA, one of :data:`PRECISIONS`; elsewhere nothing changes.
    """

    def __init__(
        self,
        network: ImPulSeNet,
        parameters: Sequence[Mapping[str, Tensor]] | None,
        device: torch.device,
        *,
        precision: str = "tf32",
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
        self.network = network.to(device).eval()
        self.precision = precision
        self.device = device
        self.decoders: list[Decoder] = []
        for weights in parameters or []:
            network.load_state_dict(weights)
            self.decoders.append(copy.deepcopy(network.decoder))
        if not self.decoders:
            self.decoders.append(network.decoder)
        several = parameters if parameters is not None and len(parameters) > 1 else []
        self.encoders = [_without_decoder(network, weights, device) for weights in several]

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        self.device = device
        self.network.to(device)
        self.encoders = [{name: value.to(device) for name, value in weights.items()} for weights in self.encoders]
        for decoder in self.decoders:
            decoder.to(device)

    @torch.inference_mode()
    def encode(self, volume: Tensor, box: Box, input_grid: Sequence[int], case: str = "image") -> EncodedBox:
        """Encode a box of a working volume (channel, d, h, w) with every fold.

        Raises:
            InputError: A fold makes features of the case that are no finite numbers.
        """
        return self._encode(volume, box, input_grid, self.network, self.decoders, case)

    @torch.inference_mode()
    def search(self, volume: Tensor, search_grid: Sequence[int], case: str = "image") -> EncodedBox:
        """What the localizers of all folds see in a working volume (channel, d, h, w); raises like :meth:`encode`."""
        localizer = self.network.localizer
        if localizer is None:
            raise TypeError("the network has no localizer, expected one where the plans name a search grid")
        return self._encode(volume, Box.whole(), search_grid, localizer, [localizer.decoder] * len(self.decoders), case)

    def _encode(
        self, volume: Tensor, box: Box, grid: Sequence[int], network: ImPulSeNet, decoders: Sequence[Decoder], case: str
    ) -> EncodedBox:
        image = image_on_box(volume.to(self.device), box, grid)[None]
        members = []
        for number, decoder in enumerate(decoders):
            if self.encoders:
                self.network.load_state_dict(self.encoders[number], strict=False)
            members.append((decoder, self._pyramid(network, image)))
        check_features([pyramid for _, pyramid in members], volume, case)
        return EncodedBox(members, box)

    def _pyramid(self, network: ImPulSeNet, image: Tensor) -> list[Tensor]:
        """Without a choice of cuDNN algorithms by timing: two processes must give the same labels."""
        tf32 = self.precision == "tf32"
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            if self.device.type != "cuda" or self.precision == "half":
                return network.encode(image)
            return network.pyramid(image)  # without the autocast that the network brings


def _without_decoder(network: ImPulSeNet, weights: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Weights of a fold's encoder and localizer, each under one of its names; on the CPU the very tensors."""
    weights = with_current_names(weights)
    names = [name for name, _ in (*network.named_parameters(), *network.named_buffers())]
    return {name: weights[name].to(device) for name in names if not name.startswith("decoder.")}


class CarriesModel(Protocol):
    """What is needed of a predictor with a trained model: nnU-Net's has it, and ours."""

    network: nn.Module
    list_of_parameters: Any
    device: torch.device
    configuration_manager: Any


def ensemble_of(predictor: CarriesModel, all_folds: bool = True) -> Ensemble:
    """The folds that a predictor carries; with ``all_folds`` False, the weights that its network has now."""
    network = bare_network(predictor.network)
    if not isinstance(network, ImPulSeNet):
        raise TypeError(f"the predictor carries a {type(network).__name__}, expected an ImPulSeNet")
    check_device(predictor.device)
    return Ensemble(network, predictor.list_of_parameters if all_folds else None, predictor.device)


def settings_of(predictor: CarriesModel) -> ImPulSeSettings:
    """Settings from the plans that a predictor carries."""
    return settings_from_configuration(predictor.configuration_manager.configuration)
