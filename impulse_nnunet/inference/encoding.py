"""Encoding a case: the whole image, and where the plans say so the region of interest that the first pass finds."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from impulse_nnunet.coordinates import Box, bounding_box, faces_from_indices
from impulse_nnunet.decoding import EncodedBox, OutputGrid, decode_labels
from impulse_nnunet.inference.features import check_features
from impulse_nnunet.inference.upload import uploaded, working_volume_on
from impulse_nnunet.network import Decoder, ImPulSeNet
from impulse_nnunet.settings import ImPulSeSettings
from impulse_nnunet.training.boxes import region_box
from impulse_nnunet.training.images import image_on_box

SMALLEST_COMPONENT = 0.02  # of the foreground that the first pass finds; smaller ones do not widen the box
COARSE_FROM = 64  # voxels of the input grid from which on every second is enough to find the box

logger = logging.getLogger(__name__)


# Of the encoder on CUDA. TF32 convolutions are as fast as bfloat16 at a tenth of its error (docs/benchmarks.md).
PRECISIONS = ("tf32", "half", "float32")


class Ensemble:
    """One network and the weights of its folds; decoders are kept apart, the encoder takes the weights in turn.

    Args:
        network: Carries the encoder's weights of the fold at work.
        parameters: State dict of each fold; None uses the network as it is.
        device: Where to compute.
        precision: Of the encoder on CUDA, one of :data:`PRECISIONS`; elsewhere nothing changes.
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
        """What the finders of all folds see in a working volume (channel, d, h, w); raises as :meth:`encode` does."""
        finder = self.network.finder
        if finder is None:
            raise TypeError("the network has no finder, expected one where the plans name a search grid")
        return self._encode(volume, Box.whole(), search_grid, finder, [finder.decoder] * len(self.decoders), case)

    def _encode(
        self, volume: Tensor, box: Box, grid: Sequence[int], network: ImPulSeNet, decoders: Sequence[Decoder], case: str
    ) -> EncodedBox:  # fmt: skip
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
            return network.encoder(image)  # without the autocast that the network brings


def _without_decoder(network: ImPulSeNet, weights: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Weights of a fold's encoder and finder, each under one of its names; on the CPU the very tensors."""
    names = [name for name, _ in (*network.named_parameters(), *network.named_buffers())]
    return {name: weights[name].to(device) for name in names if not name.startswith("decoder.")}


def encode_image(ensemble: Ensemble, image: Tensor, settings: ImPulSeSettings, case: str = "image") -> EncodedBox:
    """Encode a native image (channel, d, h, w), normalised; see :func:`encode_working_volume`."""
    volume = working_volume_on(ensemble.device, image, settings.grid.working_grid)
    return encode_working_volume(ensemble, volume, settings, case)


def encode_working_volume(
    ensemble: Ensemble, volume: Tensor, settings: ImPulSeSettings, case: str = "image"
) -> EncodedBox:
    """Encode a working volume; in ``two_pass``, the box of the foreground, which a first pass over the whole finds.

    Nothing but the image is used. Where the first pass finds no foreground the whole image is encoded, with a warning.
    """
    volume = uploaded(volume, ensemble.device)
    if settings.region.mode == "whole":
        return ensemble.encode(volume, Box.whole(), settings.grid.input_grid, case)
    if settings.search_grid is None:
        first = ensemble.encode(volume, Box.whole(), settings.grid.input_grid, case)
        grid = OutputGrid.native([n // 2 if n >= COARSE_FROM else n for n in settings.grid.input_grid])
    else:
        first = ensemble.search(volume, settings.search_grid, case)
        grid = OutputGrid.native(settings.search_grid)
    faces = foreground_faces(decode_labels(first, grid, settings.inference.block_points) > 0)
    if faces is None:
        logger.warning("%s: the first pass found no foreground; the whole image is used", case)
    box = Box.whole() if faces is None else region_box(faces, settings.region.margin)
    return ensemble.encode(volume, box, settings.grid.input_grid, case)


def foreground_faces(mask: np.ndarray) -> np.ndarray | None:
    """Faces (2, 3) of the box around a mask, specks left out, in positions of the mask's grid; None if it is empty."""
    components, number = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if number == 0:
        return None
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= SMALLEST_COMPONENT * sizes.sum())
    box = bounding_box(np.isin(components, large))
    return None if box is None else np.stack(faces_from_indices(*box, mask.shape))
