"""Box plots of a metric for each label, the methods side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from impulse_nnunet.evaluation.metric_names import scale
from impulse_nnunet.evaluation.report.metrics import heading
from impulse_nnunet.evaluation.report.pictures import Picture, from_figure
from impulse_nnunet.evaluation.report.summaries import Evaluation
from impulse_nnunet.outputs.colours import METHODS, LabelStyle

BOXES_IN_A_ROW = 60
WIDTH, ROW_HEIGHT = 11.0, 2.7  # inches
DPI = 120
POINTS_UP_TO = 20  # cases; below, each is also drawn as a point
GROUP = 0.8  # share of a label's place that its boxes fill
LONGEST_LEVEL_NAME, LONGEST_NAME = 5, 24  # characters; longer names are turned, and cut


def box_plots(methods: Sequence[Evaluation], labels: Sequence[int], metric: str, style: LabelStyle) -> Picture:
    """Draw a metric's distribution over cases.

    Args:
        methods: At most as many as can be told apart by greys look different; more go round.
        labels: In the order of drawing; they are broken into rows that stay readable.
        metric: Name.
        style: Colours and names of the labels.
    """
    in_a_row = max(6, BOXES_IN_A_ROW // len(methods))
    number_of_rows = math.ceil(len(labels) / in_a_row)
    parts = [list(part) for part in np.array_split(np.asarray(labels), number_of_rows)]
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * number_of_rows + 0.4), dpi=DPI, layout="constrained")
    rows = figure.subplots(number_of_rows, 1, squeeze=False, sharey=True)[:, 0]
    widest = max(map(len, parts))
    for axes, part in zip(rows, parts, strict=True):
        for place, method in enumerate(methods):
            _boxes(axes, [_values(method, label, metric) for label in part], place, len(methods))
        _label_axis(axes, part, style, widest)
        axes.set_ylabel(heading(metric))
    if len(methods) > 1:
        handles = [
            Patch(facecolor=_grey(place), edgecolor="black", label=method.name) for place, method in enumerate(methods)
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(methods), frameon=False, fontsize=9)
    names = ", ".join(method.name for method in methods)
    return from_figure(figure, f"Box plots of {metric} over cases for {len(labels)} labels; {names}")


def _boxes(axes: Axes, values: Sequence[np.ndarray], place: int, number: int) -> None:
    width = GROUP / number
    centres = np.arange(len(values)) - GROUP / 2 + (place + 0.5) * width
    axes.boxplot(
        values,
        positions=centres,
        widths=0.82 * width,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": _grey(place), "linewidth": 0.8},
        medianprops={"color": "black", "linewidth": 1.6},
        whiskerprops={"linewidth": 0.8},
        capprops={"linewidth": 0.8},
        flierprops={"marker": "o", "markersize": 2.5, "markeredgewidth": 0.6},
        showfliers=max(map(len, values), default=0) > POINTS_UP_TO,
    )
    for centre, one in zip(centres, values, strict=True):
        if len(one) <= POINTS_UP_TO:
            axes.plot(np.full(len(one), centre), one, "o", markersize=2.4, color="black", alpha=0.55, zorder=3)


def _label_axis(axes: Axes, labels: Sequence[int], style: LabelStyle, widest: int) -> None:
    names = [_cut(style.names.get(label, str(label))) for label in labels]
    turned = max(map(len, names), default=0) > LONGEST_LEVEL_NAME
    axes.set_xticks(range(len(labels)), names, rotation=40 if turned else 0, ha="right" if turned else "center")
    axes.tick_params(axis="x", length=0, pad=9, labelsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlim(-0.6, widest - 0.4)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for place, label in enumerate(labels):
        axes.add_patch(
            Rectangle(
                (place - GROUP / 2, -0.045),
                GROUP,
                0.03,
                transform=axes.get_xaxis_transform(),
                facecolor=style.colour(label),
                edgecolor="none",
                clip_on=False,
            )
        )


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _values(method: Evaluation, label: int, metric: str) -> np.ndarray:
    values = np.array([case.labels.get(label, {}).get(metric, math.nan) for case in method.cases.values()])
    return scale(metric) * values[~np.isnan(values)]


def _grey(place: int) -> str:
    return METHODS[place % len(METHODS)]
