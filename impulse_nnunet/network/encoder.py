"""The encoder f: a 3D residual network whose stages are the feature pyramid (paper, section 4.2)."""

from __future__ import annotations

from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import StackedConvBlocks
from torch import Tensor, nn

from impulse_nnunet.network.channels_last import AveragePool, InstanceNorm
from impulse_nnunet.network.settings import NetworkSettings

NORMS: dict[str, type[nn.Module]] = {"instance": InstanceNorm, "batch": nn.BatchNorm3d}


class ResNetPyramid(nn.Module):
    """ResNet with a stride-1 stem; two blocks in each of four stages of 64 to 512 channels make the ResNet-18.

    Any module with ``output_channels`` whose ``forward`` returns a list of feature maps can stand in its place.

    Args:
        input_channels: Channels of the image.
        settings: Widths, strides, blocks, stem kernel and norm.
    """

    def __init__(self, input_channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        norm = NORMS[settings.norm]
        norm_kwargs = {"eps": 1e-5, "affine": True}
        width = settings.features_per_stage[0]
        self.stem = StackedConvBlocks(
            1,
            nn.Conv3d,
            input_channels,
            width,
            settings.stem_kernel_size,
            1,
            conv_bias=False,
            norm_op=norm,
            norm_op_kwargs=norm_kwargs,
            nonlin=nn.ReLU,
            nonlin_kwargs={"inplace": True},
        )
        self.stages = ResidualEncoder(
            input_channels=width,
            n_stages=len(settings.features_per_stage),
            features_per_stage=list(settings.features_per_stage),
            conv_op=nn.Conv3d,
            kernel_sizes=[list(kernel) for kernel in settings.kernels],
            strides=[list(stride) for stride in settings.strides],
            n_blocks_per_stage=list(settings.blocks_per_stage),
            norm_op=norm,
            norm_op_kwargs=norm_kwargs,
            nonlin=nn.ReLU,
            nonlin_kwargs={"inplace": True},
            return_skips=True,
            disable_default_stem=True,
        )
        for module in list(self.stages.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.AvgPool3d):
                    setattr(module, name, AveragePool(child.stride))
        self.output_channels = list(settings.features_per_stage)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(batch, channel, d, h, w) -> one feature map for each stage, finest first."""
        return self.stages(self.stem(image))
