"""What fixes the shape of a network; nothing else decides it, so a checkpoint and its plans always fit."""

from __future__ import annotations

from dataclasses import dataclass

ENCODERS = ("resnet18", "unet_encoder", "unet")
ENCODER_PACKAGE = "dynamic_network_architectures"  # the only one that plans may name classes of


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Sizes of the parts of an :class:`~impulse_nnunet.network.ImPulSeNet`.

    Args:
        features_per_stage: Channels of each encoder stage, finest first.
        strides: Stride (d, h, w) at the start of each stage; the first is usually (1, 1, 1).
        blocks_per_stage: Residual blocks, or convolutions of a plain encoder, in each stage.
        stem_kernel_size: Edge of the ResNet's stem kernel, voxels; odd (the release of the paper has 7).
        norm: ``instance`` or ``batch``.
        head_features: Hidden width of the deformation and the correction head.
        head_dropout: Dropout in both heads, 0 to 1.
        template_grid: Size (d, h, w) of the template, voxels.
        encoder: ``resnet18`` (residual stages), ``unet_encoder`` (nnU-Net's plain stages), ``unet`` (its decoder levels
            too: they are the pyramid), or the dotted name of an encoder or U-Net of ``dynamic_network_architectures``.
        kernel_sizes: Kernel (d, h, w) of each stage, odd; empty: 3 everywhere.
        template: T: whether there is a template.
        deformation: D: whether points are moved into the template.
        correction: C: whether a head adds logits; without template and deformation it is ImPulSe's one head.
        context_blocks: Blocks of self-attention on the coarsest level of the pyramid; dense systems have none.
    """

    features_per_stage: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    blocks_per_stage: tuple[int, ...] = (2, 2, 2, 2)
    stem_kernel_size: int = 3
    norm: str = "instance"
    head_features: int = 64
    head_dropout: float = 0.0
    template_grid: tuple[int, int, int] = (128, 128, 128)
    encoder: str = "resnet18"
    kernel_sizes: tuple[tuple[int, int, int], ...] = ()
    template: bool = True
    deformation: bool = True
    correction: bool = True
    context_blocks: int = 0

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_switches()

    def _check_sizes(self) -> None:
        stages = len(self.features_per_stage)
        if len(self.strides) != stages or len(self.blocks_per_stage) != stages:
            raise ValueError(
                f"features_per_stage has {stages} entries, strides {len(self.strides)}, blocks_per_stage "
                f"{len(self.blocks_per_stage)}; all three need one entry for each encoder stage"
            )
        if len(self.kernel_sizes) not in (0, stages) or any(n % 2 != 1 for kernel in self.kernel_sizes for n in kernel):
            raise ValueError(
                f"kernel_sizes is {self.kernel_sizes}; expected one of odd numbers for each of {stages} stages"
            )
        if self.encoder not in ENCODERS and not self.encoder.startswith(ENCODER_PACKAGE + "."):
            raise ValueError(
                f"encoder is {self.encoder!r}; expected {', '.join(ENCODERS)} or a class {ENCODER_PACKAGE}.module.Class"
            )
        if self.norm not in ("instance", "batch"):
            raise ValueError(f"norm is {self.norm!r}; expected 'instance' or 'batch'")
        if self.stem_kernel_size % 2 != 1:
            raise ValueError(f"stem_kernel_size is {self.stem_kernel_size}; expected an odd number")
        if not 0 <= self.head_dropout < 1:
            raise ValueError(f"head_dropout is {self.head_dropout}; expected a share in [0, 1)")
        if self.context_blocks < 0:
            raise ValueError(f"context_blocks is {self.context_blocks}; expected 0 or more")

    def _check_switches(self) -> None:
        """Refuse switches that contradict each other."""
        if not (self.template or self.deformation or self.correction):
            raise ValueError(
                "template, deformation and correction are all off: nothing makes logits; switch correction on, or "
                "template and deformation"
            )
        if self.deformation and not self.template:
            raise ValueError(
                "deformation is on and template off: there is nothing to deform; switch both on or both off"
            )
        if self.template and not (self.deformation or self.correction):
            raise ValueError(
                "template is on, deformation and correction off: the image would decide nothing; switch one of them on"
            )

    @property
    def kernels(self) -> tuple[tuple[int, int, int], ...]:
        """Kernel of each stage."""
        return self.kernel_sizes or ((3, 3, 3),) * len(self.features_per_stage)


PAPER = NetworkSettings(stem_kernel_size=7, norm="batch", head_dropout=0.3)
