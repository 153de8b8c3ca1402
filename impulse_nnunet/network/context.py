"""Self-attention between all nodes of the coarsest feature map: every point then sees the whole box."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from impulse_nnunet.geometry.coordinates import grid_points

HEAD_CHANNELS = 32
FREQUENCIES = 4  # of the nodes' positions: half a turn, one, two and four across the box
HIDDEN = 2  # width of the hidden layer, as a multiple of the channels
SAVED_PER_CHANNEL = 12  # inputs of norms and layers, queries, keys, values, what they give, and the activation


class GlobalContext(nn.Module):
    """Transformer blocks (norm first) on a feature map; they start as the identity.

    Nodes are told apart by sines and cosines of their box positions, so the map may have any size.

    Args:
        channels: Of the map.
        blocks: Attention and perceptron, so many times.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.position = nn.Linear(3 * (1 + 2 * FREQUENCIES), channels)
        self.blocks = nn.ModuleList(AttentionBlock(channels) for _ in range(blocks))

    def saved_values(self, nodes: int) -> int:
        """Values that the backward pass keeps of one map of so many nodes, attention in blocks (not nodes squared)."""
        return SAVED_PER_CHANNEL * self.position.out_features * nodes * len(self.blocks)

    def forward(self, level: Tensor) -> Tensor:
        """(batch, channel, d, h, w), the same size, type and memory format."""
        places = self.position(self._places(level))
        nodes = level.flatten(2).transpose(1, 2)
        for block in self.blocks:
            nodes = block(nodes, places)
        seen = nodes.transpose(1, 2).reshape(level.shape).to(level.dtype)
        return seen.contiguous() if level.is_contiguous() else seen.contiguous(memory_format=torch.channels_last_3d)

    def _places(self, level: Tensor) -> Tensor:
        """Features of the nodes' positions: (node, feature), in the type of the weights."""
        points = grid_points(level.shape[2:], self.position.weight.dtype, level.device)
        return position_features(points.flatten(0, 2))


class AttentionBlock(nn.Module):
    """Multi-head self-attention and a perceptron with one hidden layer, each added to what it was given.

    The last layers start at zero.

    Args:
        channels: Of each node.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // HEAD_CHANNELS))
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.attended = nn.Linear(channels, channels)
        self.hidden = nn.Linear(channels, HIDDEN * channels)
        self.last = nn.Linear(HIDDEN * channels, channels)
        for layer in (self.attended, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, nodes: Tensor, places: Tensor) -> Tensor:
        """Nodes (batch, node, channel) and what their places add to them (node, channel): (batch, node, channel)."""
        together = self.queries_keys_values(self.norms[0](nodes) + places)
        queries, keys, values = together.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        nodes = nodes + self.attended(mixed.transpose(1, 2).flatten(2))
        return nodes + self.last(functional.gelu(self.hidden(self.norms[1](nodes))))


def position_features(points: Tensor) -> Tensor:
    """Positions (n, 3) in [-1, 1], and their sines and cosines of :data:`FREQUENCIES` frequencies: (n, feature)."""
    turns = math.pi / 2 * 2.0 ** torch.arange(FREQUENCIES, dtype=points.dtype, device=points.device)
    angles = (points[:, :, None] * turns).flatten(1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=1)
