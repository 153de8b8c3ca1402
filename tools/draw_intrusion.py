"""Draw what an intrusion and its distance are: docs/pictures/intrusion.svg; the numbers in it are computed."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from impulse_nnunet.evaluation.intrusions import SegmentSurfaces, find_intrusions

OUTPUT = Path(__file__).parents[1] / "docs" / "pictures" / "intrusion.svg"
SHAPE = (11, 16)  # rows, columns
SLICES, DRAWN = 9, 4  # so many that the ends are farther than anything in the one that is drawn
COLOURS = ["#f2f2f2", "#bcd7ee", "#fbdcb4"]  # background, segment 1, segment 2
TREE, INTRUDING, OUTLINE, TO_INTERFACE = "#4d4d4d", "#c62828", "#1f5f99", "#6a1b9a"
BRANCHES = [
    (5, 1),
    (5, 2),
    (5, 3),
    (5, 4),
    (4, 5),
    (3, 6),
    (2, 7),
    (2, 8),
    (6, 4),
    (7, 4),
    (8, 4),
    (9, 5),
]  # row, column


def maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, prediction and the tree of segment 1, 1 mm voxels."""
    reference, prediction, tree = (np.zeros((SLICES, *SHAPE), np.uint8) for _ in range(3))
    reference[:, 1:10, 1:10], reference[:, 1:10, 10:15] = 1, 2
    prediction[:, 1:8, 1:10], prediction[:, 1:10, 10:15], prediction[:, 1:6, 6:10] = 1, 2, 2
    for place in BRANCHES:
        tree[(DRAWN, *place)] = 1
    return reference, prediction, tree


def draw_map(axes: Axes, labels: np.ndarray, tree: np.ndarray, title: str) -> None:
    """Voxels as squares, the tree as dots; red where the tree lies outside segment 1."""
    axes.imshow(labels[DRAWN], cmap=ListedColormap(COLOURS), vmin=0, vmax=2, interpolation="nearest")
    axes.hlines(np.arange(SHAPE[0] + 1) - 0.5, -0.5, SHAPE[1] - 0.5, color="white", linewidth=1)
    axes.vlines(np.arange(SHAPE[1] + 1) - 0.5, -0.5, SHAPE[0] - 0.5, color="white", linewidth=1)
    for colour, chosen in ((TREE, labels == 1), (INTRUDING, labels != 1)):
        _, rows, columns = np.nonzero(tree & chosen)
        axes.scatter(columns, rows, s=190, color=colour, linewidths=0, zorder=3)
    axes.set(xlim=(-0.6, SHAPE[1] - 0.4), ylim=(SHAPE[0] - 0.4, -0.6), title=title)
    axes.axis("off")


def surface_voxels(surfaces: SegmentSurfaces) -> np.ndarray:
    """(n, 3) indices of the surface voxels of segment 1."""
    places = surfaces.surface.places[surfaces.surface.classes == 1]
    return np.stack(np.unravel_index(places, surfaces.shape), axis=1) + surfaces.first


def draw_surface(axes: Axes, surfaces: SegmentSurfaces) -> None:
    """Outline the surface voxels of segment 1."""
    voxels = surface_voxels(surfaces)
    _, rows, columns = voxels[voxels[:, 0] == DRAWN].T
    axes.scatter(columns, rows, s=330, marker="s", facecolors="none", edgecolors=OUTLINE, linewidths=1.3, zorder=2)


def draw_distance(axes: Axes, tip: tuple[int, int], surfaces: SegmentSurfaces, style: str | tuple, colour: str) -> None:
    """Arrow from an intruding voxel (row, column) to the nearest surface voxel of segment 1."""
    voxels = surface_voxels(surfaces)
    _, row, column = voxels[np.linalg.norm(voxels - (DRAWN, *tip), axis=1).argmin()]
    arrow = {"arrowstyle": "-|>", "color": colour, "linestyle": style, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(column, row), xytext=tip[::-1], arrowprops=arrow, zorder=4)


def draw() -> None:
    """Write the picture."""
    mpl.rcParams.update({"svg.hashsalt": "intrusion", "font.size": 11})
    reference, prediction, tree = maps()
    whole, interface = (SegmentSurfaces(prediction, (1, 1, 1), kind) for kind in ("whole", "interface"))
    first, second = (find_intrusions(tree, prediction, surfaces) for surfaces in (whole, interface))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.4))
    draw_map(left, reference, tree, "reference: the tree $T_i$ lies in segment $i$")
    draw_map(right, prediction, tree, f"prediction: NI = {first.number}")
    draw_surface(right, whole)
    for tip, name, offset in (((2, 8), "$I_1$", (0.2, -0.62)), ((9, 5), "$I_2$", (0.75, 0.1))):
        draw_distance(right, tip, whole, "-", "black")
        right.text(tip[1] + offset[0], tip[0] + offset[1], name, color=INTRUDING, weight="bold", va="center")
    draw_distance(right, (9, 5), interface, (0, (2, 1.5)), TO_INTERFACE)
    lines = [
        f"{label}: {', '.join(f'$I_{i}$ {d:.2f} mm' for i, d in enumerate(found.distances_mm, 1))}; "
        f"ID = {found.mean_distance_mm:.2f} mm"
        for label, found in (("to the whole surface (arrow)", first), ("to the interface (violet arrow)", second))
    ]
    figure.text(0.5, 0.125, "\n".join(lines), ha="center", va="center")
    figure.legend(handles=_legend(), loc="lower center", ncols=5, frameon=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.94, bottom=0.17, wspace=0.02)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUTPUT, metadata={"Date": None}, facecolor="white")


def _legend() -> list[Patch | Line2D]:
    dot = {"linestyle": "none", "marker": "o", "markersize": 9, "markeredgecolor": "none"}
    return [
        Patch(facecolor=COLOURS[1], label="segment i"),
        Patch(facecolor=COLOURS[2], label="another segment"),
        Patch(fill=False, edgecolor=OUTLINE, label="surface of predicted segment i"),
        Line2D([], [], markerfacecolor=TREE, label="its tree, inside", **dot),
        Line2D([], [], markerfacecolor=INTRUDING, label="its tree, outside", **dot),
    ]


if __name__ == "__main__":
    draw()
