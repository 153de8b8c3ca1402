"""Coarse to fine against the evaluation of every voxel: ``python -m benchmarks.agreement MODEL_FOLDER IMAGE ...``.

Predicts each image (one channel) on grids 2 and 4 times as fine as its own and prints, for several safeties of the
error bound, the share of voxels that was evaluated and the voxels that differ.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import SimpleITK as sitk
import torch

from impulse_nnunet.decoding import OutputGrid, coarse_to_fine, decode_labels
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.predictor import ImPulSePredictor
from impulse_nnunet.inference.routing import ensemble_of, settings_of

SAFETIES = (0.5, 0.25, 0.125)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model with one z-scored channel")
    parser.add_argument("images", nargs="+")
    parser.add_argument("-f", default="0", help="fold (default: 0)")
    options = parser.parse_args()
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(options.model, (options.f,))
    ensemble, settings = ensemble_of(predictor), settings_of(predictor)
    sys.stdout.write("| image | finer | voxels | safety | evaluated, % | differ |\n|---|---|---|---|---|---|\n")
    for image in options.images:
        array = sitk.GetArrayFromImage(sitk.ReadImage(image)).astype(np.float32)
        encoded = encode_image(ensemble, torch.from_numpy((array - array.mean()) / array.std())[None], settings)
        for factor in (2, 4):
            grid = OutputGrid.native([n * factor for n in array.shape])
            every = decode_labels(encoded, grid, settings.inference.block_points, exact=True)
            for coarse_to_fine.SAFETY in SAFETIES:
                labels = np.zeros(grid.shape, every.dtype)
                share = coarse_to_fine.decode_coarse_to_fine(encoded, grid, labels)
                row = (image.rsplit("/", 1)[-1], factor, every.size, coarse_to_fine.SAFETY, f"{100 * share:.1f}")
                sys.stdout.write("| " + " | ".join(map(str, row)) + f" | {np.count_nonzero(every != labels)} |\n")


if __name__ == "__main__":
    main()
