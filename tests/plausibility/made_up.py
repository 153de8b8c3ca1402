"""Facts of made-up cases: a body with two organs in air, CT values, an exact grid."""

import numpy as np

from impulse_nnunet.io.label_maps import count_values
from impulse_nnunet.plausibility.facts import Channels, facts_of_images
from impulse_nnunet.plausibility.labels import label_facts
from impulse_nnunet.plausibility.sample import step_of

Z_Y_X = np.array([[0.0, 0, 2, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])  # (d, h, w) to LPS, 2 mm: voxels of 8 mm3
CT = Channels(ct=(0,), masks=(), number=1)
NAMES = {1: "right organ", 2: "left organ"}
SHAPE = (24, 26, 30)


def chest(seed):
    """(d, h, w) HU and labels: air, a body of 40 HU, two organs of -850 HU, each case a little different."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in SHAPE], indexing="ij")
    place = rng.normal(0, 0.01, 3)
    radii = rng.uniform(0.95, 1.05, 2)
    image = np.where((y - 0.5) ** 2 / 0.2 + (x - 0.5) ** 2 / 0.22 < 1, 40.0, -1000.0)
    labels = np.zeros(SHAPE, np.uint8)
    for label, centre, radius in ((1, 0.3, radii[0]), (2, 0.7, radii[1])):
        offsets = (z - 0.5 - place[0]) / 0.36, (y - 0.5 - place[1]) / 0.25, (x - centre - place[2]) / 0.15
        labels[sum(offset**2 for offset in offsets) < radius**2] = label
    image[labels > 0] = -850
    return np.round(image + rng.normal(0, 15, SHAPE)), labels


def facts(image, to_world=Z_Y_X, channels=CT):
    """Facts of an image (d, h, w), or of channels, without labels."""
    images = np.asarray(image, np.float32)
    return facts_of_images(images if images.ndim == 4 else images[None], to_world, channels)[0]


def labelled(image, labels, to_world=Z_Y_X, faces=True, channels=CT):
    """Facts of labels on an image (d, h, w), or on channels."""
    images = np.asarray(image, np.float32)
    sample = facts_of_images(images if images.ndim == 4 else images[None], to_world, channels)[1]
    return label_facts(labels, count_values(labels), to_world, sample, faces=faces, step=step_of(labels.shape))
