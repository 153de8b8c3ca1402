"""The point-wise heads: one multilayer perceptron for the deformation, one for the correction."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class PointHead(nn.Module):
    """Perceptron with one hidden layer and a linear shortcut around it; its last layer starts at zero.

    The sizes are those of the authors' release: 123 715 parameters for 963 -> 64 -> 3 and 124 755 for 963 -> 64 -> 19.

    Args:
        in_features: Length of the point encoding.
        hidden_features: Width of the hidden layer.
        out_features: Length of the output.
        dropout: Share of hidden values dropped in training.
    """

    def __init__(self, in_features: int, hidden_features: int, out_features: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(in_features, hidden_features, bias=False),
            nn.LayerNorm(hidden_features),
            nn.LeakyReLU(0.01),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Sequential(
            nn.Linear(in_features, hidden_features, bias=False), nn.LayerNorm(hidden_features)
        )
        self.last = nn.Linear(hidden_features, out_features)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def first_layers(self) -> tuple[nn.Linear, nn.Linear]:
        """The linear layers of the hidden branch and of the shortcut."""
        return cast(nn.Linear, self.hidden[0]), cast(nn.Linear, self.shortcut[0])

    @property
    def norms(self) -> tuple[nn.LayerNorm, nn.LayerNorm]:
        """The norms after them."""
        return cast(nn.LayerNorm, self.hidden[1]), cast(nn.LayerNorm, self.shortcut[1])

    @property
    def negative_slope(self) -> float:
        """Slope of the hidden branch's activation below zero."""
        return cast(nn.LeakyReLU, self.hidden[2]).negative_slope

    def forward(self, encoding: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return self.last(self.hidden(encoding) + self.shortcut(encoding))
