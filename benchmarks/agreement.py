"""Coarse to fine against the evaluation of every voxel: ``python -m benchmarks.agreement MODEL_FOLDER IMAGES``.

Predicts cases of a folder on grids finer than their own and prints, for several safeties of the error bound, the share
of voxels that was evaluated, those that differ, and how many connected pieces of a label there are more or fewer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cc3d
import numpy as np
import torch

from impulse_nnunet.decoding import OutputGrid, decode_labels
from impulse_nnunet.decoding.coarse_to_fine import decode_coarse_to_fine
from impulse_nnunet.inference.encoding import encode_image
from impulse_nnunet.inference.ensemble import ensemble_of, settings_of
from impulse_nnunet.io.listing import list_cases
from impulse_nnunet.nnunet.predictor import ImPulSePredictor

SAFETIES = (0.5, 0.25, 0.125)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model")
    parser.add_argument("images", help="folder of CASE_0000.nii.gz, ...")
    parser.add_argument("--cases", type=int, default=5, help="the first so many (default: 5)")
    parser.add_argument("--factors", nargs="+", type=int, default=[2, 4], help="how much finer (default: 2 4)")
    parser.add_argument("-f", default="0", help="fold (default: 0)")
    options = parser.parse_args()
    predictor = ImPulSePredictor(torch.device("cpu"), progress_bar=False)
    predictor.initialize_from_trained_model_folder(options.model, (options.f,))
    ensemble, settings = ensemble_of(predictor), settings_of(predictor)
    sys.stdout.write(
        "| case | finer | voxels | safety | evaluated, % | differ | same, % | pieces |\n" + "|---" * 8 + "|\n"
    )
    cases = list_cases(Path(options.images), ".nii.gz")
    for case in sorted(cases)[: options.cases]:
        prepared = predictor.prepare(case, cases[case]).image
        encoded = encode_image(ensemble, prepared, settings)
        for factor in options.factors:
            grid = OutputGrid.native([n * factor for n in prepared.shape[1:]])
            every = decode_labels(encoded, grid, settings.inference.block_points, exact=True)
            for safety in SAFETIES:
                labels = np.zeros(grid.shape, every.dtype)
                share = decode_coarse_to_fine(encoded, grid, labels, safety)
                differ, pieces = int(np.count_nonzero(every != labels)), pieces_of(labels) - pieces_of(every)
                row = (
                    case,
                    factor,
                    every.size,
                    safety,
                    f"{100 * share:.1f}",
                    differ,
                    f"{100 * (1 - differ / every.size):.4f}",
                    f"{pieces:+d}" if pieces else "0",
                )
                sys.stdout.write("| " + " | ".join(map(str, row)) + " |\n")


def pieces_of(labels: np.ndarray) -> int:
    """Connected pieces (26 neighbours) of all labels together."""
    return int(cc3d.connected_components(labels, connectivity=26).max())


if __name__ == "__main__":
    main()
