"""Points of an encoded box, the heads' first layers applied to the pyramid beforehand (docs/decoding.md, "Folding")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impulse_nnunet.decoding.grids import OutputGrid
from impulse_nnunet.decoding.kernels import activate, add_interpolated
from impulse_nnunet.decoding.row_kernels import interpolate_rows
from impulse_nnunet.geometry.boxes import Box
from impulse_nnunet.network import PointDecoder
from impulse_nnunet.network.heads import PointHead

VECTOR = 16  # float32 values in the widest vector register; class dimensions are padded to it

Size = tuple[int, int, int]


@dataclass(frozen=True)
class FoldedVolume:
    """A volume with channels last.

    Args:
        values: (d * h * w, channel) float32, C-contiguous.
        size: (d, h, w).
    """

    values: np.ndarray
    size: Size

    @classmethod
    def of(cls, tensor: Tensor, channels: int | None = None) -> FoldedVolume:
        """From (channel, d, h, w); zeros fill up to ``channels``. Channels-last float32 memory is used in place."""
        last = _channels_last(tensor).float()
        if channels is not None and channels > last.shape[1]:
            last = functional.pad(last, (0, channels - last.shape[1]))
        return cls(last.contiguous().numpy(), _size(tensor))

    def add_to(self, points: np.ndarray, result: np.ndarray) -> None:
        """Add the values at points to ``result`` (n, channel)."""
        add_interpolated(self.values, *self.size, points, result)


@dataclass(frozen=True, kw_only=True)
class RowTables:
    """Where the planes, rows and columns of an upright grid lie in a box and between the nodes of its levels.

    Args:
        shape: (3,) of the grid.
        positions: (3, longest) float32 box positions.
        nodes: (level, 3, longest) int64, the lower of the two nodes beside each.
        shares: (level, 3, longest) float32, weight of the upper one.
        between: (3, longest) bool, whether it lies between two nodes of the finest level.
    """

    shape: np.ndarray
    positions: np.ndarray
    nodes: np.ndarray
    shares: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, grid: OutputGrid, box: Box, sizes: np.ndarray, upper: np.ndarray) -> RowTables:
        """For the planes, rows and columns below ``upper`` (3,); ``sizes`` (level, 3) are those of the levels."""
        to_box, longest = grid.to_box(box), int(max(upper))
        exact = np.diag(to_box)[:, None] * np.arange(longest) + to_box[:, 3:]
        counts = sizes[:, :, None].astype(np.float64)
        places = ((exact[None] + 1) * counts - 1) / 2
        clamped = np.clip(places, 0, counts - 1)
        nodes = np.minimum(clamped.astype(np.int64), np.maximum(sizes[:, :, None] - 2, 0))
        shares = (clamped - nodes).astype(np.float32)
        between = np.asarray((places[0] >= 0) & (places[0] <= counts[0] - 1))
        return cls(
            shape=np.asarray(grid.shape, np.int64),
            positions=exact.astype(np.float32),
            nodes=nodes,
            shares=shares,
            between=between,
        )


class Window:
    """Planes of the finest level with the first layers applied; plane z lies at ``z % capacity``.

    Args:
        capacity: Planes.
        plane: Nodes in each.
        outputs: Outputs of the first layers.
    """

    def __init__(self, capacity: int, plane: int, outputs: int) -> None:
        self.capacity, self.plane = capacity, plane
        self.values = torch.empty(capacity * plane, outputs)

    def part(self, z: int, first: int, last: int) -> Tensor:
        """(node, output) of some nodes of a plane, to be written."""
        start = z % self.capacity * self.plane
        return self.values[start + first : start + last]


class FoldedPoints:
    """The decoder with the heads' first layers folded into the pyramid, on the CPU.

    Single points gather the finest level's features and multiply them; rows of a grid (:meth:`evaluate_rows`) use
    planes of the finest level that were multiplied beforehand (:meth:`project`).

    Args:
        decoder: Heads (two :class:`~impulse_nnunet.network.heads.PointHead` of one width) and template.
        pyramid: Feature maps (1, channel, d, h, w) in main memory, finest first.
    """

    @torch.inference_mode()
    def __init__(self, decoder: PointDecoder, pyramid: Sequence[Tensor]) -> None:
        heads, weights = centred_first_layers(decoder)
        if decoder.template is None:
            raise TypeError("there is no template, expected one; use PlainPoints")
        self.number_of_classes = classes = decoder.number_of_classes
        self.padded_classes = padded = -(-classes // VECTOR) * VECTOR
        *levels, positions = weights.split([*(level.shape[1] for level in pyramid), 3])
        self.finest_features = pyramid[0][0]
        self.by_features, self.by_position = levels[0].contiguous(), positions.contiguous()
        self.coarse = [_projected(level[0], weight) for level, weight in zip(pyramid[1:], levels[1:], strict=True)]
        self.level_sizes = np.array([level.shape[2:] for level in pyramid], np.int64)
        norms = [[parameter for norm in head.norms for parameter in (norm.weight, norm.bias)] for head in heads]
        self.norms = np.array([[part.float().numpy() for part in four] for four in norms])
        self.eps, self.slope = heads[0].norms[0].eps, heads[0].negative_slope
        self.deformation = _last(heads[0], VECTOR)  # a product with 3 columns takes longer
        self.correction = _last(heads[1], padded)
        self.template = FoldedVolume.of(decoder.template.logits[0], padded)
        self._lock = Lock()

    @cached_property
    def _finest(self) -> FoldedVolume:
        return FoldedVolume.of(self.finest_features)

    @torch.inference_mode()
    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`~impulse_nnunet.decoding.point_decoders.Points`."""
        with self._lock:  # made once, by the first of the threads
            finest = self._finest
        features = np.zeros((len(points), finest.values.shape[1]), np.float32)
        finest.add_to(points, features)
        hidden = torch.addmm(torch.from_numpy(points) @ self.by_position, torch.from_numpy(features), self.by_features)
        for level in self.coarse:
            level.add_to(points, hidden.numpy())
        logits, displacement = self._from_hidden(hidden.numpy(), points)
        return logits[:, : self.number_of_classes], displacement

    def window(self, capacity: int) -> Window:
        """Room for planes of the finest level."""
        _, height, width = self.level_sizes[0]
        return Window(capacity, int(height * width), self.by_position.shape[1])

    @torch.inference_mode()
    def project(self, z: int, first: int, last: int, window: Window) -> None:
        """Apply the first layers to the nodes ``first`` to ``last`` (excluded) of a plane of the finest level."""
        features = self.finest_features[:, z].flatten(1)[:, first:last].float().T.contiguous()
        torch.mm(features, self.by_features, out=window.part(z, first, last))

    @torch.inference_mode()
    def evaluate_rows(self, chosen: np.ndarray, tables: RowTables, window: Window) -> np.ndarray:
        """Logits (n, padded class) of voxels, ascending flat indices (n,), whose planes lie in the window."""
        volumes = (window.values.numpy(), *(level.values for level in self.coarse))
        capacities = np.array([window.capacity, *self.level_sizes[1:, 0]])
        points = np.empty((len(chosen), 3), np.float32)
        hidden = np.empty((len(chosen), self.by_position.shape[1]), np.float32)
        interpolate_rows(
            chosen,
            tables.shape,
            tables.positions,
            tables.nodes,
            tables.shares,
            volumes,
            self.level_sizes,
            capacities,
            self.by_position.numpy(),
            points,
            hidden,
        )
        return self._from_hidden(hidden, points)[0]

    def _from_hidden(self, hidden: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, padded class) and displacement (n, 3) from the first layers' outputs."""
        active = np.empty((2, len(points), self.norms.shape[2]), np.float32)
        activate(hidden, self.norms, self.eps, self.slope, active)
        moved = torch.addmm(self.deformation[0], torch.from_numpy(active[0]), self.deformation[1])
        displacement = moved[:, :3].contiguous().tanh().numpy()
        logits = torch.addmm(self.correction[0], torch.from_numpy(active[1]), self.correction[1]).numpy()
        self.template.add_to(points + displacement, logits)
        return logits, displacement


def _size(tensor: Tensor) -> Size:
    d, h, w = tensor.shape[1:]
    return d, h, w


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(1, 2, 3, 0).reshape(-1, tensor.shape[0])


def centred_first_layers(decoder: PointDecoder) -> tuple[list[PointHead], Tensor]:
    """The two heads, and the weights (channel + 3, output) of all their first layers.

    Raises:
        TypeError: There are no two heads of this kind.
    """
    heads = [head for head in (decoder.deformation, decoder.correction) if isinstance(head, PointHead)]
    if len(heads) < 2:
        raise TypeError("the heads are no PointHead, expected two; use PlainPoints")
    return heads, centred_weights(heads)


def centred_weights(heads: Sequence[PointHead]) -> Tensor:
    """Weights (channel + 3, output) of the heads' first layers: for each head the hidden layer, then the shortcut."""
    return torch.cat([_centred(layer) for head in heads for layer in head.first_layers]).T


def _centred(layer: torch.nn.Linear) -> Tensor:
    """Weights whose outputs have mean zero: what the layer norm subtracts is taken out beforehand."""
    weight = layer.weight.float()
    return weight - weight.mean(0)


def _last(head: PointHead, size: int) -> tuple[Tensor, Tensor]:
    fill = (0, size - head.last.out_features)
    bias, weight = head.last.bias.float(), head.last.weight.float().T
    return functional.pad(bias, fill).contiguous(), functional.pad(weight, fill).contiguous()


def _projected(level: Tensor, weight: Tensor) -> FoldedVolume:
    return FoldedVolume((_channels_last(level).float() @ weight).numpy(), _size(level))
