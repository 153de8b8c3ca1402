"""The paper's other systems: nnU-Net trainers that differ from ImPulSe+ in their network alone (docs/systems.md)."""

from __future__ import annotations

from typing import ClassVar

from impulse_nnunet.trainers.impulse import nnUNetTrainerImPulSe


class nnUNetTrainerImPulSeV1(nnUNetTrainerImPulSe):
    """ImPulSe (Kuang et al. 2022): encoder and one implicit head, no template."""

    system: ClassVar[str] = "impulse"


class nnUNetTrainerFCN(nnUNetTrainerImPulSe):
    """FCN on the ResNet-18, dense on the input grid."""

    system: ClassVar[str] = "fcn"


class nnUNetTrainerDeepLabV3(nnUNetTrainerImPulSe):
    """DeepLabv3 on the ResNet-18, dense on the input grid."""

    system: ClassVar[str] = "deeplabv3"


class nnUNetTrainerLowRes(nnUNetTrainerImPulSe):
    """nnU-Net's own network on the whole input grid."""

    system: ClassVar[str] = "low_resolution"
