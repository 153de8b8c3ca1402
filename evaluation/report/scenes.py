"""Three-dimensional views of a case: small volumes are handed to a child process that draws them.

VTK can crash or hang where a machine has no OpenGL, EGL or OSMesa; a child process with a time limit keeps that from
the report. The volumes are made coarser first, so that a case of 300 x 512 x 512 voxels takes seconds.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from impulse_nnunet.evaluation.report.pictures import Picture, from_pixels
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.outputs.colours import RGB, LabelStyle

logger = logging.getLogger(__name__)

LONGEST_EDGE = 176  # voxels of the volumes that are meshed
PIXELS = 560  # longer side of a view
SECONDS_TO_START, SECONDS_A_VIEW = 60.0, 10.0
CHILD = (sys.executable, "-m", "impulse_nnunet.evaluation.report.rendering")
WITHOUT_DISPLAY: dict[str, str | None] = {"DISPLAY": None, "VTK_DEFAULT_OPENGL_WINDOW": "vtkOSOpenGLRenderWindow"}
VIEWS = ("front", "back")
JOB, VOLUMES = "job.json", "volumes.npz"
TOO_LONG = "drawing took longer than"
LONGEST_REASON = 200  # characters


Key = tuple[str, ...]  # what a view shows


class NoViewsError(Exception):
    """Three-dimensional views cannot be drawn; the text says why."""


@dataclass(frozen=True, kw_only=True)
class DrawnView:
    """One view.

    Args:
        key: Its name.
        labels: Name of the label volume.
        tree: Name of the tree volume (1 tree, 2 intruding), or None.
        view: ``front`` or ``back``.
        words: What it shows.
    """

    key: Key
    labels: str
    tree: str | None
    view: str
    words: str


@dataclass(frozen=True)
class Block:
    """How voxels are put together before meshing.

    Args:
        size: Voxels of a block, (z, y, x).
        spacing_mm: Spacing of the blocks.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of(cls, shape: Sequence[int], spacing_mm: Sequence[float], longest: int = LONGEST_EDGE) -> Block:
        """Blocks as nearly cubic as the grid allows, at most ``longest`` along the longest edge."""
        edge_mm = max(n * step for n, step in zip(shape, spacing_mm, strict=True)) / longest
        size = [max(1, int(np.ceil(edge_mm / step - 1e-6))) for step in spacing_mm]
        spacing = [float(n * step) for n, step in zip(size, spacing_mm, strict=True)]
        return cls((size[0], size[1], size[2]), (spacing[0], spacing[1], spacing[2]))

    def middle(self, labels: np.ndarray) -> np.ndarray:
        """The label in the middle of each block."""
        places = [
            np.minimum(np.arange(0, length, n) + n // 2, length - 1)
            for n, length in zip(self.size, labels.shape, strict=True)
        ]
        return labels[np.ix_(*places)]

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest value of each block: thin branches stay whole."""
        for axis, n in enumerate(self.size):
            if n > 1:
                values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], n), axis=axis)
        return values


def draw_scenes(volumes: CaseVolumes, style: LabelStyle, case: str) -> dict[Key, Picture]:
    """Draw all views of a case.

    Returns:
        Key -> picture; the keys are those of ``reference_key``, ``prediction_key`` and ``tree_key``.

    Raises:
        NoViewsError: This machine cannot draw them.
    """
    scenes, arrays, spacing_mm = _prepare(volumes)
    pictures = _render(scenes, arrays, spacing_mm, style.colours, PIXELS)
    return {
        scene.key: from_pixels(pixels, f"{case}: {scene.words}", shaded=scene.tree is None)
        for scene, pixels in zip(scenes, pictures, strict=True)
    }


def draw_labels(
    volumes: Mapping[str, np.ndarray],
    spacing_mm: tuple[float, float, float],
    colours: Mapping[int, RGB],
    view: str = "front",
    pixels: int = PIXELS,
) -> dict[str, np.ndarray]:
    """One view of each label volume.

    Args:
        volumes: Name -> labels (z, y, x) in LPS, all of one shape.
        spacing_mm: (z, y, x).
        colours: Label -> colour.
        view: ``front`` or ``back``.
        pixels: Longer side of a picture.

    Returns:
        Name -> (row, column, 3) uint8.

    Raises:
        NoViewsError: This machine cannot draw them.
    """
    block = Block.of(next(iter(volumes.values())).shape, spacing_mm)
    arrays = {f"labels_{number}": block.middle(labels) for number, labels in enumerate(volumes.values())}
    scenes = [
        DrawnView(key=(name,), labels=f"labels_{number}", tree=None, view=view, words=name)
        for number, name in enumerate(volumes)
    ]
    pictures = _render(scenes, arrays, block.spacing_mm, colours, pixels)
    return dict(zip(volumes, pictures, strict=True))


def _render(
    scenes: Sequence[DrawnView],
    arrays: Mapping[str, np.ndarray],
    spacing_mm: tuple[float, float, float],
    colours: Mapping[int, RGB],
    pixels: int,
) -> list[np.ndarray]:
    """Draw scenes in the child process: (row, column, 3) uint8 each."""
    with tempfile.TemporaryDirectory(prefix="impulse_nnunet_views_") as name:
        folder = Path(name)
        np.savez(folder / VOLUMES, **arrays)  # type: ignore[arg-type]
        job = {"scenes": [asdict(scene) for scene in scenes], "spacing_mm": spacing_mm, "pixels": pixels}
        job["colours"] = {str(label): colour for label, colour in colours.items()}
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        _run_child(folder, SECONDS_TO_START + SECONDS_A_VIEW * len(scenes))
        return [_pixels(folder / f"{index}.png") for index in range(len(scenes))]


def reference_key(view: str) -> Key:
    """Key of a view of the reference segments."""
    return "reference", view


def prediction_key(method: str, view: str) -> Key:
    """Key of a view of a method's segments."""
    return "prediction", method, view


def tree_key(method: str, tree: str, view: str) -> Key:
    """Key of a view of a tree with the branches that intrude into a method's segments."""
    return "tree", method, tree, view


def _prepare(volumes: CaseVolumes) -> tuple[list[DrawnView], dict[str, np.ndarray], tuple[float, float, float]]:
    block = Block.of(volumes.reference.shape, volumes.spacing_mm)
    arrays = {"reference": block.middle(volumes.reference)}
    scenes = [
        DrawnView(
            key=reference_key(view), labels="reference", tree=None, view=view, words=f"reference segments, {view}"
        )
        for view in VIEWS
    ]
    for number, (method, labels) in enumerate(volumes.predictions.items()):
        arrays[f"labels_{number}"] = block.middle(labels)
        for view in VIEWS:
            words = f"segments of {method}, {view}"
            scenes.append(
                DrawnView(
                    key=prediction_key(method, view), labels=f"labels_{number}", tree=None, view=view, words=words
                )
            )
        for tree, mask in volumes.trees.items():
            name = f"tree_{len(arrays)}"
            codes = mask.astype(np.uint8) + volumes.intruding(method, tree)
            arrays[name] = block.largest(codes)
            for view in VIEWS:
                words = f"{tree} with the branches that intrude into segments of {method} in red, {view}"
                scenes.append(
                    DrawnView(
                        key=tree_key(method, tree, view), labels=f"labels_{number}", tree=name, view=view, words=words
                    )
                )
    return scenes, arrays, block.spacing_mm


def _pixels(path: Path) -> np.ndarray:
    if not path.is_file():
        raise NoViewsError("the drawing process left no picture")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _run_child(folder: Path, time_limit_s: float) -> None:
    """Draw in a child process; if that fails, once more without the display, by software."""
    reasons = []
    for changes in ({}, WITHOUT_DISPLAY):
        reason = _attempt(folder, time_limit_s, changes)
        if reason is None:
            return
        reasons.append(reason)
        if reason.startswith(TOO_LONG):
            break
    raise NoViewsError(reasons[0])


def _attempt(folder: Path, time_limit_s: float, changes: dict[str, str | None]) -> str | None:
    environment = {name: value for name, value in (dict(os.environ) | changes).items() if value is not None}
    try:
        done = subprocess.run(
            [*CHILD, str(folder)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=time_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{TOO_LONG} {time_limit_s:.0f} s"
    except OSError as error:
        return f"the drawing process could not be started ({error})"
    if done.returncode == 0:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:LONGEST_REASON] if lines else "without a word"
    logger.debug("views: %s", "\n".join(lines))
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"the drawing process ended with {ended} ({last})"
