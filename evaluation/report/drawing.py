"""One slice as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy import ndimage

from impulse_nnunet.evaluation.report.pictures import Picture, from_figure
from impulse_nnunet.outputs.colours import INTRUSION, TREE, LabelStyle, from_hex

DPI = 100
FILL, FILL_ON_IMAGE, WRONG, TREES = 0.28, 0.14, 0.55, 0.45  # opacities
SMALLEST_NAMED = 16  # pixels: half the width of a region that carries its name
SCALE_BAR_MM = 50.0


@dataclass(frozen=True, kw_only=True)
class SliceContent:
    """What one picture shows; arrays (row, column), row 0 at the top.

    Args:
        reference: Labels.
        prediction: Labels.
        tree: Tree voxels.
        intruding: Those that intrude.
        image: Grey values, or None.
        grey_range: Values that are drawn black and white.
        spacing_mm: (row, column).
        pixels_per_mm: Scale of the picture.
    """

    reference: np.ndarray
    prediction: np.ndarray
    tree: np.ndarray
    intruding: np.ndarray
    image: np.ndarray | None
    grey_range: tuple[float, float]
    spacing_mm: tuple[float, float]
    pixels_per_mm: float

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height."""
        return self.reference.shape[1] * self.spacing_mm[1], self.reference.shape[0] * self.spacing_mm[0]

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top for matplotlib."""
        width, height = self.size_mm
        return 0.0, width, height, 0.0

    @property
    def ink(self) -> tuple[str, str]:
        """Colours of letters and of their rim."""
        return ("black", "white") if self.image is None else ("white", "black")


def draw_slice(
    content: SliceContent, style: LabelStyle, letters: tuple[str, str, str, str], alt: str, caption: str
) -> Picture:
    """Draw a slice in its true proportions.

    Args:
        content: What it shows.
        style: Colours and names of the labels.
        letters: What lies left, right, above and below.
        alt: Words for readers who cannot see it.
        caption: Text below it.
    """
    inches = [size * content.pixels_per_mm / DPI for size in content.size_mm]
    figure = Figure(figsize=(max(inches[0], 0.5), max(inches[1], 0.5)), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if content.image is not None:
        low, high = content.grey_range
        axes.imshow(content.image, cmap="gray", vmin=low, vmax=high, extent=content.extent_mm, interpolation="bilinear")
    axes.imshow(_colour_layer(content, style), extent=content.extent_mm, interpolation="nearest")
    _outlines(axes, content.reference, content, style, dashed=False)
    _outlines(axes, content.prediction, content, style, dashed=True)
    _region_names(axes, content, style)
    _letters(axes, content, letters)
    _scale_bar(axes, content)
    axes.set_xlim(content.extent_mm[:2])
    axes.set_ylim(content.extent_mm[2:])
    return from_figure(figure, alt, caption)


def _colour_layer(content: SliceContent, style: LabelStyle) -> np.ndarray:
    """(row, column, 4): pale reference, wrong voxels in the predicted label's colour, trees, intrusions."""
    table = style.table()
    layer = np.zeros((*content.reference.shape, 4))
    layer[..., :3] = table[content.reference]
    layer[..., 3] = np.where(content.reference > 0, FILL if content.image is None else FILL_ON_IMAGE, 0)
    wrong = (content.prediction != content.reference) & (content.prediction > 0)
    layer[wrong, :3], layer[wrong, 3] = table[content.prediction[wrong]], WRONG
    layer[content.tree] = (*from_hex(TREE), TREES)
    layer[content.intruding] = (*from_hex(INTRUSION), 1)
    return layer


def _outlines(axes: Axes, labels: np.ndarray, content: SliceContent, style: LabelStyle, dashed: bool) -> None:
    padded = np.pad(labels, 1)
    rows, columns = (
        (np.arange(length) - 0.5) * step for length, step in zip(padded.shape, content.spacing_mm, strict=True)
    )
    rim = [] if content.image is not None else [withStroke(linewidth=3.2, foreground="white", alpha=0.6)]
    for label in np.unique(labels[labels > 0]):
        colour = style.outline(int(label), content.image is not None)
        lines = axes.contour(
            columns,
            rows,
            padded == label,
            levels=[0.5],
            colors=[colour],
            linewidths=1.8 if dashed else 2.1,
            linestyles=[(0, (3.2, 1.8))] if dashed else "solid",
        )
        if not dashed:
            lines.set(path_effects=[*rim])


def _region_names(axes: Axes, content: SliceContent, style: LabelStyle) -> None:
    """Write each label's short name where the region is widest, if it is wide enough."""
    ink, rim = content.ink
    for label in np.unique(content.reference[content.reference > 0]):
        depth = ndimage.distance_transform_edt(np.pad(content.reference == label, 1), content.spacing_mm)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] * content.pixels_per_mm < SMALLEST_NAMED:
            continue
        axes.text(
            (column + 0.5) * content.spacing_mm[1],
            (row + 0.5) * content.spacing_mm[0],
            style.short.get(int(label), str(label)),
            color=ink,
            fontsize=11.5,
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=2.6, foreground=rim)],
        )


def _letters(axes: Axes, content: SliceContent, letters: tuple[str, str, str, str]) -> None:
    ink, rim = content.ink
    places = (
        (0.012, 0.5, "left", "center"),
        (0.988, 0.5, "right", "center"),
        (0.5, 0.988, "center", "top"),
        (0.5, 0.012, "center", "bottom"),
    )
    for letter, (x, y, horizontal, vertical) in zip(letters, places, strict=True):
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            color=ink,
            fontsize=16,
            fontweight="bold",
            ha=horizontal,
            va=vertical,
            path_effects=[withStroke(linewidth=3.5, foreground=rim)],
        )


def _scale_bar(axes: Axes, content: SliceContent) -> None:
    """A bar of 50 mm, or of 10 or 1 mm in small volumes, at the lower right."""
    ink, rim = content.ink
    width, height = content.size_mm
    length = next((bar for bar in (SCALE_BAR_MM, 10.0, 1.0) if bar < width / 2), width / 4)
    right, bottom = 0.97 * width, 0.97 * height
    effects = [withStroke(linewidth=5, foreground=rim)]
    axes.plot([right - length, right], [bottom, bottom], color=ink, linewidth=3, path_effects=effects)
    axes.text(
        right - length / 2,
        bottom - 0.012 * height,
        f"{length:g} mm",
        color=ink,
        fontsize=11,
        ha="center",
        va="bottom",
        path_effects=[withStroke(linewidth=2.6, foreground=rim)],
    )
