"""The flags of what is written for each case, the same in each command that predicts segments."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impulse_nnunet.nnunet.output_options import OutputOptions


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Declare ``--spacing``, ``--like``, ``--save_displacement``, ``--mesh`` and ``--mesh_spacing``."""
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="labels at this spacing, mm")
    grid.add_argument("--like", metavar="IMAGE", help="labels on this image's grid")
    parser.add_argument(
        "--save_displacement",
        action="store_true",
        help="also displacement/CASE: the field that deforms into the template, on the labels' grid, a vector image in "
        "mm (LPS)",
    )
    meshes = parser.add_argument_group("surfaces from the network's field (docs/outputs.md)")
    meshes.add_argument(
        "--mesh",
        nargs="+",
        metavar="FORMAT",
        help="also meshes/CASE.FORMAT: glb, 3mf, obj or vtp; of the labels on a fine grid, whatever the labels' grid",
    )
    meshes.add_argument(
        "--mesh_spacing", type=float, default=0.5, metavar="MM", help="spacing of that grid (default: 0.5)"
    )


def output_options(options: argparse.Namespace) -> OutputOptions:
    """What the flags ask for.

    Raises:
        InputError: They exclude each other, or the image cannot be read.
    """
    from impulse_nnunet.nnunet.output_options import OutputOptions

    return OutputOptions(
        probabilities=getattr(options, "save_probabilities", False),
        displacement=options.save_displacement,
        spacing_mm=tuple(options.spacing) if options.spacing else None,
        like=options.like,
        meshes=tuple(dict.fromkeys(options.mesh or ())),
        mesh_spacing_mm=options.mesh_spacing,
    )
