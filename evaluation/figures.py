"""Figures for a paper: label maps side by side in two and three dimensions, and metrics against a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy import ndimage

from impulse_nnunet.evaluation.metric_names import label, scale
from impulse_nnunet.evaluation.overlap import dice_per_label
from impulse_nnunet.evaluation.report.scenes import draw_labels
from impulse_nnunet.evaluation.report.slices import PLANES, Plane
from impulse_nnunet.evaluation.report.volumes import CaseVolumes
from impulse_nnunet.io.files import whole_file
from impulse_nnunet.outputs.colours import HUES, INTRUSION, LabelStyle, from_hex

TRUTH = "ground truth"
PANEL_INCHES = 1.75  # width of a panel
DPI = 300
VIEW_PIXELS = 900
CORRECT, PLAIN = 0.6, 0.85  # opacity of voxels where errors are marked, and where they are not
PALE = 0.6  # contrast of the image below
LEGEND_LINE, LEGEND_ENTRY = 0.16, 1.15  # inches: height of a line, width of an entry
LONGEST_LEGEND = 8  # entries
TEXT: dict[Any, Any] = {"font.size": 8, "font.family": "DejaVu Sans", "svg.fonttype": "path", "axes.linewidth": 0.6}


@dataclass(frozen=True)
class Panels:
    """What a figure of label maps shows: a column for each method and one for the ground truth.

    Args:
        planes: Names of :data:`~impulse_nnunet.evaluation.report.slices.PLANES`, a row each.
        views: ``front`` and ``back``, a row each.
        errors: Mark voxels that are wrong.
    """

    planes: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    errors: bool = False


def panel_figure(volumes: CaseVolumes, style: LabelStyle, panels: Panels) -> Figure:
    """Draw methods and ground truth side by side.

    Args:
        volumes: Of a case.
        style: Colours, names and lobes.
        panels: Rows.

    Raises:
        NoViewsError: Three-dimensional views are asked for and this machine cannot draw them.
    """
    maps = {**volumes.predictions, TRUTH: volumes.reference}
    rows = [_slices(volumes, maps, plane, style, panels.errors) for plane in PLANES if plane.name in panels.planes]
    names = [plane.name for plane in PLANES if plane.name in panels.planes]
    for view in panels.views:
        rows.append(_views(volumes, maps, view, style, panels.errors))
        names.append(view)
    heights = [max(image.height_per_width for image in row) for row in rows]
    with rc_context(TEXT):
        width = PANEL_INCHES * len(maps) + 0.25
        rest = 0.52 + LEGEND_LINE * _legend_lines(style, panels.errors, width)
        figure = Figure(figsize=(width, PANEL_INCHES * sum(heights) + rest), dpi=DPI)
        axes = figure.subplots(
            len(rows), len(maps), squeeze=False, gridspec_kw={"height_ratios": heights, "wspace": 0.04, "hspace": 0.06}
        )
        for line, row, name in zip(axes, rows, names, strict=True):
            for cell, image in zip(line, row, strict=True):
                image.draw(cell)
            line[0].set_ylabel(name)
        for cell, (name, labels) in zip(axes[0], maps.items(), strict=True):
            cell.set_title(name, fontsize=8, pad=13)
            cell.annotate(
                _dice(labels, volumes.reference, style),
                (0.5, 1),
                (0, 4),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
            )
        _legend(figure, style, panels.errors)
        width, height = figure.get_size_inches()
        bottom = 0.12 + LEGEND_LINE * _legend_lines(style, panels.errors, width)
        figure.subplots_adjust(left=0.22 / width, right=1 - 0.03 / width, top=1 - 0.4 / height, bottom=bottom / height)
    return figure


def curve_figure(shares: Sequence[float], curves: Mapping[str, Sequence[tuple[float, float, float]]]) -> Figure:
    """Metrics against 1 - gamma (paper, Fig. 10), a panel each.

    Args:
        shares: Values of 1 - gamma, ascending.
        curves: Metric of a summary -> (mean, lower end, upper end of the interval) at each share.
    """
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    with rc_context(TEXT):
        figure = Figure(figsize=(2.3 * columns, 1.9 * lines), dpi=DPI, layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False)
        for cell, (metric, points) in zip(axes.flat, curves.items(), strict=False):
            mean, low, high = (np.array(values) * scale(metric) for values in zip(*points, strict=True))
            cell.fill_between(shares, low, high, color=HUES[0], alpha=0.15, linewidth=0)
            cell.plot(shares, mean, color=HUES[0], marker="o", markersize=3.5, linewidth=1.3)
            cell.set_title(label(metric), fontsize=8)
            cell.set_xlabel(r"$1 - \gamma$")
            cell.set_xticks(list(shares))
            cell.margins(y=0.15)
            for side in ("top", "right"):
                cell.spines[side].set_visible(False)
        for cell in list(axes.flat)[len(curves) :]:
            cell.set_axis_off()
    return figure


def write_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.png and NAME.svg (slices and views are embedded pixels there); returns the paths."""
    paths = [folder / f"{name}.{ending}" for ending in ("png", "svg")]
    with rc_context(TEXT):
        for path in paths:
            with whole_file(path) as temporary:
                figure.savefig(
                    temporary, dpi=DPI, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None
                )
    return paths


@dataclass(frozen=True)
class _Image:
    """A panel's pixels in true proportions, and lines drawn over them."""

    pixels: np.ndarray
    height_per_width: float
    outlines: np.ndarray | None = None

    def draw(self, axes: Axes) -> None:
        rows, columns = self.pixels.shape[:2]
        extent = (0.0, 1.0, self.height_per_width, 0.0)
        axes.imshow(self.pixels, extent=extent, interpolation="nearest" if self.outlines is not None else "antialiased")
        if self.outlines is not None:
            x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows * self.height_per_width
            for number in np.unique(self.outlines[self.outlines > 0]):
                axes.contour(x, y, self.outlines == number, levels=[0.5], colors="black", linewidths=0.35)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)


def _slices(
    volumes: CaseVolumes, maps: Mapping[str, np.ndarray], plane: Plane, style: LabelStyle, errors: bool
) -> list[_Image]:
    """The slice that shows most segments, of every map; the ground truth's borders over all of them."""
    index = _richest_slice(volumes.reference, plane.axis)
    slab = volumes.slab(plane.axis, index)
    truth, table = plane.seen(slab.reference), style.table()
    rows_mm, columns_mm = (step for axis, step in enumerate(volumes.spacing_mm) if axis != plane.axis)
    ratio = truth.shape[0] * rows_mm / (truth.shape[1] * columns_mm)
    ground = np.ones((*truth.shape, 3))
    if slab.image is not None:
        low, high = volumes.grey_range
        ground[:] = 1 - PALE * (1 - np.clip((plane.seen(slab.image)[..., None] - low) / (high - low), 0, 1))
    images = []
    for labels in maps.values():
        shown = plane.seen(np.take(labels, [index], plane.axis))
        wrong = (shown != truth) & errors
        opacity = np.where(shown > 0, CORRECT if errors else PLAIN, 0.0)[..., None]
        pixels = (1 - opacity) * ground + opacity * table[shown]
        pixels[wrong] = from_hex(INTRUSION)
        images.append(_Image(pixels, ratio, truth))
    return images


def _views(
    volumes: CaseVolumes, maps: Mapping[str, np.ndarray], view: str, style: LabelStyle, errors: bool
) -> list[_Image]:
    """Three-dimensional views; voxels that are wrong by more than one voxel are a label of their own."""
    wrong_label = 1 + max(style.colours)
    shown = {}
    for name, labels in maps.items():
        wrong = far_errors(labels, volumes.reference) if errors else np.zeros(labels.shape, bool)
        shown[name] = np.where(wrong, wrong_label, labels).astype(np.uint16)
    colours = {**style.colours, wrong_label: from_hex(INTRUSION)}
    pictures = draw_labels(shown, volumes.spacing_mm, colours, view, VIEW_PIXELS)
    return [_Image(pixels, pixels.shape[0] / pixels.shape[1]) for pixels in pictures.values()]


def far_errors(labels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Voxels that are wrong by more than one voxel: their label is nowhere among the neighbours in the other map.

    Both a voxel that is called something that is not near it, and one of the reference whose label is missing there; at
    the surface of a body a border that is off by less would colour everything.
    """
    near = np.ones((3, 3, 3), bool)
    far = np.zeros(labels.shape, bool)
    for number in np.union1d(np.unique(labels), np.unique(reference)):
        if number:
            one, other = labels == number, reference == number
            far |= one & ~ndimage.binary_dilation(other, near)
            far |= other & ~ndimage.binary_dilation(one, near)
    return far


def _richest_slice(labels: np.ndarray, axis: int) -> int:
    """The slice with most labels, among those the one with most labelled voxels."""
    layers = np.moveaxis(labels, axis, 0)
    return max(range(len(layers)), key=lambda n: (len(np.unique(layers[n])), np.count_nonzero(layers[n])))


def _dice(labels: np.ndarray, reference: np.ndarray, style: LabelStyle) -> str:
    """The mean over labels; nothing for the ground truth itself."""
    if labels is reference:
        return ""
    dice = np.nanmean(dice_per_label(reference, labels, 1 + max(style.colours)))
    return f"Dice {100 * dice:.1f} %"


def _families(style: LabelStyle) -> Mapping[str, Sequence[int]]:
    """Entries of the legend: lobes, else labels; none where they are too many."""
    families = style.lobes or {style.names[label]: [label] for label in style.colours}
    return families if len(families) < LONGEST_LEGEND else {}


def _legend_lines(style: LabelStyle, errors: bool, width: float) -> int:
    columns = max(1, int(width / LEGEND_ENTRY))
    return -(-(len(_families(style)) + errors) // columns)


def _legend(figure: Figure, style: LabelStyle, errors: bool) -> None:
    """A patch for each lobe, in its middle shade, and one for errors."""
    families = _families(style)
    patches = [
        Patch(color=style.colour(list(members)[len(members) // 2]), label=name) for name, members in families.items()
    ]
    patches += [Patch(color=from_hex(INTRUSION), label="wrong")] if errors else []
    if patches:
        columns = min(len(patches), max(1, int(figure.get_figwidth() / LEGEND_ENTRY)))
        figure.legend(
            handles=patches,
            loc="lower center",
            ncols=columns,
            frameon=False,
            fontsize=6.5,
            handlelength=1,
            columnspacing=1.2,
            handletextpad=0.5,
            borderaxespad=0.2,
        )
