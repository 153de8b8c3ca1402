"""Small made-up things that several test modules need."""

import numpy as np
import SimpleITK as sitk
import torch

from impulse_nnunet.network import ImPulSeNet, NetworkSettings, build_network
from impulse_nnunet.settings import GridSettings, ImPulSeSettings

SMALL = NetworkSettings(
    features_per_stage=(4, 8),
    strides=((1, 1, 1), (2, 2, 2)),
    blocks_per_stage=(1, 1),
    template_grid=(4, 6, 8),
    head_features=8,
)


def small_network(classes: int = 3, channels: int = 2) -> ImPulSeNet:
    """Two stages of 4 and 8 channels, template of (4, 6, 8); both heads still give zero."""
    return build_network(SMALL, channels, classes)


def perturb_heads(network: ImPulSeNet, scale: float = 0.3) -> ImPulSeNet:
    """Give the heads' last layers, which start at zero, random weights."""
    with torch.no_grad():
        for head in (network.decoder.deformation, network.decoder.correction):
            head.last.weight.normal_(0, scale)
            head.last.bias.normal_(0, scale)
    return network


def settings_for(input_grid=(4, 6, 8), working_grid=(6, 8, 10), **parts) -> ImPulSeSettings:
    """Settings with small grids."""
    return ImPulSeSettings(grid=GridSettings(tuple(input_grid), tuple(working_grid)), **parts)


def write_nifti(path, array, spacing_mm=(1.0, 1.0, 1.0)) -> str:
    """Write a (d, h, w) array with SimpleITK; the spacing is (x, y, z) as SimpleITK takes it."""
    image = sitk.GetImageFromArray(np.asarray(array))
    image.SetSpacing(spacing_mm)
    sitk.WriteImage(image, str(path))
    return str(path)


class MadeUpDataset:
    """What a case store needs of an nnU-Net data set, in memory; counts how often a case is loaded.

    Args:
        cases: Identifier -> (image (channel, d, h, w), segmentation (d, h, w), properties).
    """

    def __init__(self, cases):
        self.cases, self.identifiers, self.loaded = cases, sorted(cases), []

    def load_case(self, identifier):
        self.loaded.append(identifier)
        image, segmentation, properties = self.cases[identifier]
        return image, segmentation[None], None, properties


def made_up_cases(number, shape=(8, 9, 10), seed=0, dtype=np.float32, spacing_mm=(1.0, 1.0, 1.0)):
    """Noise with a labelled block (1 in its first half, 2 in its second) somewhere in each case."""
    rng = np.random.default_rng(seed)
    cases = {}
    for index in range(number):
        segmentation = np.zeros(shape, np.int16)
        d, h, w = (int(rng.integers(1, 3)) for _ in range(3))
        segmentation[d : d + 5, h : h + 3, w : w + 6] = 1
        segmentation[d : d + 5, h + 3 : h + 6, w : w + 6] = 2
        image = (rng.normal(size=(1, *shape)) + segmentation).astype(dtype)
        cases[f"case_{index}"] = (image, segmentation, {"spacing": list(spacing_mm)})
    return cases
