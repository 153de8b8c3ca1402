"""What fixes the shape of a network; nothing else decides it, so a checkpoint and its plans always fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the parts of an :class:`~impulse_nnunet.network.ImPulSeNet`.

    Args:
        features_per_stage: Channels of each encoder stage, finest first.
        strides: Stride (d, h, w) at the start of each stage; the first is usually (1, 1, 1).
        blocks_per_stage: Residual blocks in each stage.
        stem_kernel_size: Edge of the stem's kernel, voxels; odd (the release of the paper has 7).
        norm: ``instance`` or ``batch``.
        head_features: Hidden width of the deformation and the correction head.
        head_dropout: Dropout in both heads, 0 to 1.
        template_grid: Size (d, h, w) of the template, voxels.
    """

    features_per_stage: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    blocks_per_stage: tuple[int, ...] = (2, 2, 2, 2)
    stem_kernel_size: int = 3
    norm: str = "instance"
    head_features: int = 64
    head_dropout: float = 0.0
    template_grid: tuple[int, int, int] = (128, 128, 128)

    def __post_init__(self) -> None:
        stages = len(self.features_per_stage)
        if len(self.strides) != stages or len(self.blocks_per_stage) != stages:
            raise ValueError(
                f"features_per_stage has {stages} entries, strides {len(self.strides)}, blocks_per_stage "
                f"{len(self.blocks_per_stage)}; all three need one entry for each encoder stage"
            )
        if self.norm not in ("instance", "batch"):
            raise ValueError(f"norm is {self.norm!r}; expected 'instance' or 'batch'")
        if self.stem_kernel_size % 2 != 1:
            raise ValueError(f"stem_kernel_size is {self.stem_kernel_size}; expected an odd number")
        if not 0 <= self.head_dropout < 1:
            raise ValueError(f"head_dropout is {self.head_dropout}; expected a share in [0, 1)")
