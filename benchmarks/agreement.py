"""Coarse to fine against the evaluation of every voxel: ``python -m benchmarks.agreement MODEL_FOLDER IMAGE ...``.

Predicts each image (one channel) on grids finer than its own and prints, for several safeties of the
error bound, the share of voxels that was evaluated and the voxels that differ.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from impulse_nnunet.decoding import OutputGrid, decode_labels
from impulse_nnunet.decoding.coarse_to_fine import decode_coarse_to_fine
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.predictor import ImPulSePredictor
from impulse_nnunet.inference.routing import ensemble_of, settings_of

SAFETIES = (0.5, 0.25, 0.125)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model with one channel")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--factors", nargs="+", type=int, default=[2, 4], help="how much finer (default: 2 4)")
    parser.add_argument("-f", default="0", help="fold (default: 0)")
    options = parser.parse_args()
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(options.model, (options.f,))
    ensemble, settings = ensemble_of(predictor), settings_of(predictor)
    sys.stdout.write("| image | finer | voxels | safety | evaluated, % | differ |\n|---|---|---|---|---|---|\n")
    for image in options.images:
        prepared = predictor._prepare(image, [image]).image
        encoded = encode_image(ensemble, prepared, settings)
        for factor in options.factors:
            grid = OutputGrid.native([n * factor for n in prepared.shape[1:]])
            every = decode_labels(encoded, grid, settings.inference.block_points, exact=True)
            for safety in SAFETIES:
                labels = np.zeros(grid.shape, every.dtype)
                share = decode_coarse_to_fine(encoded, grid, labels, safety)
                row = (image.rsplit("/", 1)[-1], factor, every.size, safety, f"{100 * share:.1f}")
                sys.stdout.write("| " + " | ".join(map(str, row)) + f" | {np.count_nonzero(every != labels)} |\n")


if __name__ == "__main__":
    main()
