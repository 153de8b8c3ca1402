"""The template as an image that any viewer opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from torch import Tensor

from impulse_nnunet.io.files import whole_file


def write_template(logits: Tensor, extent_mm: Sequence[float], path: Path, axes_are_ras: bool) -> None:
    """Write the template's labels.

    Args:
        logits: (class, d, h, w).
        extent_mm: Edges (d, h, w) that the template grid covers in the median case.
        path: A NIfTI file.
        axes_are_ras: Whether the reader turned all images to right, anterior, superior; else LPS is written.
    """
    labels = logits.argmax(0).numpy()
    image = sitk.GetImageFromArray(labels.astype(np.uint8 if len(logits) < 256 else np.uint16))
    spacing = [e / n for e, n in zip(extent_mm, labels.shape, strict=True)]
    image.SetSpacing(tuple(spacing[::-1]))
    if axes_are_ras:
        image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    with whole_file(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True)
