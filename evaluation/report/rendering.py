"""The child process that draws three-dimensional views: ``python -m ...report.rendering FOLDER``.

The folder holds job.json and volumes.npz (see ``scenes``) and receives 0.png, 1.png, ...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyvista as pv

from impulse_nnunet.outputs.colours import INTRUSION, TREE, from_hex

SHELL_OPACITY = 0.10
SMOOTHING = 20  # iterations
FINER = 2  # trees are meshed on a finer grid: else smoothing would thin branches of one voxel to nothing
MATERIAL: dict[str, Any] = {"ambient": 0.38, "diffuse": 0.68, "specular": 0.06}
DIRECTIONS = {"front": -1.0, "back": 1.0}  # side of the camera on the y axis of LPS
SIDES = {"front": ("R", "L"), "back": ("L", "R")}  # at the left and right of the picture
LIGHTS = (((-0.5, 0.6, 1.0), 0.85), ((0.8, -0.2, 1.0), 0.3))  # place as the camera sees it, strength
LETTER_SIZE = 11 / 560  # points for each pixel of the longer side
CLOSENESS = 1.06  # picture's size over the body's


def main(folder: Path) -> None:
    """Draw every scene of a job."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "volumes.npz") as content:
        volumes = dict(content)
    colours = {int(label): tuple(colour) for label, colour in job["colours"].items()}
    meshes: dict[str, pv.PolyData | None] = {}
    for name, volume in volumes.items():
        is_tree = name.startswith("tree")
        chosen = {1: from_hex(TREE), 2: from_hex(INTRUSION)} if is_tree else colours
        meshes[name] = coloured_surface(volume, job["spacing_mm"], chosen, FINER if is_tree else 1)
    size_mm = [n * step for n, step in zip(next(iter(volumes.values())).shape, job["spacing_mm"], strict=True)]
    for index, scene in enumerate(job["scenes"]):
        _draw(scene, meshes, size_mm, job["pixels"], folder / f"{index}.png")


def coloured_surface(
    labels: np.ndarray,
    spacing_mm: tuple[float, float, float],
    colours: Mapping[int, tuple[float, float, float]],
    finer: int = 1,
) -> pv.PolyData | None:
    """Smoothed outer surface of a label volume, coloured by label; None if nothing is labelled.

    Args:
        labels: (z, y, x).
        spacing_mm: (z, y, x).
        colours: Label -> colour.
        finer: Parts that each voxel's edges are cut into before smoothing.
    """
    if not labels.any():
        return None
    for axis in range(3) if finer > 1 else ():
        labels = labels.repeat(finer, axis)
    spacing = [step / finer for step in reversed(spacing_mm)]
    first = [(step - whole) / 2 for step, whole in zip(spacing, reversed(spacing_mm), strict=True)]
    grid = pv.ImageData(dimensions=labels.shape[::-1], spacing=spacing, origin=first)
    grid["labels"] = labels.ravel()
    mesh = grid.contour_labels("external", scalars="labels", smoothing_iterations=SMOOTHING)
    table = np.tile(np.array(from_hex(TREE)), (int(labels.max()) + 1, 1))
    for label, colour in colours.items():
        if label < len(table):
            table[label] = colour
    mesh.cell_data["colour"] = np.rint(255 * table[mesh.cell_data["boundary_labels"]]).astype(np.uint8)
    return mesh


def _draw(
    scene: Mapping[str, Any], meshes: Mapping[str, pv.PolyData | None], size_mm: list[float], pixels: int, path: Path
) -> None:
    height, _, width = size_mm
    scale = pixels / max(height, width)
    window = [max(64, round(width * scale)), max(64, round(height * scale))]
    plotter: Any = pv.Plotter(off_screen=True, lighting="none", window_size=window)
    plotter.set_background("white")
    for place, strength in LIGHTS:
        plotter.add_light(
            pv.Light(position=place, focal_point=(0, 0, 0), intensity=strength, light_type="camera light")
        )
    plotter.enable_anti_aliasing("ssaa")
    labels, tree = meshes[scene["labels"]], meshes[scene["tree"]] if scene["tree"] else None
    if labels is not None:
        opacity = SHELL_OPACITY if scene["tree"] else 1.0
        plotter.add_mesh(labels, scalars="colour", rgb=True, smooth_shading=True, opacity=opacity, **MATERIAL)
    if tree is not None:
        plotter.add_mesh(tree, scalars="colour", rgb=True, smooth_shading=True, **MATERIAL)
    _look(plotter, size_mm, scene["view"])
    size = round(pixels * LETTER_SIZE)
    for letter, x in zip(SIDES[scene["view"]], (0.02, 0.95), strict=True):
        plotter.add_text(letter, position=(x, 0.02), viewport=True, font_size=size, color="black")
    picture = plotter.screenshot(str(path), return_img=True)
    plotter.close()
    if (labels is not None or tree is not None) and not np.ptp(np.asarray(picture)):
        raise RuntimeError("the picture is blank")


def _look(plotter: pv.Plotter, size_mm: list[float], view: str) -> None:
    """Put the camera in front of or behind the body; the same scale for every view of a case."""
    z, y, x = (size / 2 for size in size_mm)
    plotter.camera.focal_point = (x, y, z)
    plotter.camera.position = (x, y + DIRECTIONS[view] * 10 * max(size_mm), z)
    plotter.camera.up = (0, 0, 1)
    plotter.camera.parallel_projection = True
    plotter.camera.parallel_scale = z * CLOSENESS
    plotter.reset_camera_clipping_range()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
