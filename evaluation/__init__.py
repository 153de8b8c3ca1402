"""Metrics on label maps: pure functions, one quantity each; nothing here knows nnU-Net."""

from impulse_nnunet.evaluation.overlap import dice_per_label

__all__ = ["dice_per_label"]
