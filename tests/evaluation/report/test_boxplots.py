import io
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from impulse_nnunet.evaluation.comparison.methods import Summary
from impulse_nnunet.evaluation.report.boxplots import box_plots
from impulse_nnunet.evaluation.report.pictures import from_pixels
from impulse_nnunet.evaluation.report.summaries import CaseResult, Evaluation
from impulse_nnunet.outputs.colours import label_style


def method_of(name, numbers):
    """A method from label -> Dice of the cases."""
    cases = {}
    for index in range(len(next(iter(numbers.values())))):
        labels = {label: {"Dice": values[index]} for label, values in numbers.items()}
        cases[f"c{index}"] = CaseResult(
            name=f"c{index}",
            reference_file=Path("r"),
            prediction_file=Path("p"),
            labels=labels,
            trees={},
            lobes={},
            paper={},
        )
    summary = Summary(path=Path("s"), values={}, settings=None, failures={}, reference_sizes={})
    return Evaluation(name=name, summary=summary, paper={}, n_nan={}, mean={}, cases=cases, settings={}, failures={})


@pytest.fixture
def drawn(monkeypatch):
    """What matplotlib's boxplot was given: (values, positions) of each call."""
    calls = []
    original = Axes.boxplot

    def boxplot(self, values, **options):
        calls.append(([np.asarray(one) for one in values], np.asarray(options["positions"])))
        return original(self, values, **options)

    monkeypatch.setattr(Axes, "boxplot", boxplot)
    return calls


def test_values_in_percent_without_nan(drawn):
    method = method_of("ours", {1: [0.5, 0.75, math.nan], 2: [0.25, 0.5, 1.0]})
    picture = box_plots([method], [1, 2], "Dice", label_style({1: "a", 2: "b"}, {}))
    ((values, positions),) = drawn
    np.testing.assert_allclose(values[0], [50, 75])
    np.testing.assert_allclose(values[1], [25, 50, 100])
    np.testing.assert_allclose(positions, [0, 1])
    assert picture.alt == "Box plots of Dice over cases for 2 labels; ours"


def test_methods_side_by_side(drawn):
    methods = [method_of(name, {1: [0.5, 0.6]}) for name in ("a", "b")]
    box_plots(methods, [1], "Dice", label_style({1: "a"}, {}))
    # 0.8 of the place is shared by two boxes: centres 0.2 to each side
    np.testing.assert_allclose([positions[0] for _, positions in drawn], [-0.2, 0.2])


def test_sixty_labels_and_three_methods_take_three_rows(drawn):
    labels = list(range(1, 61))
    methods = [method_of(name, {label: [0.5, 0.6, 0.7] for label in labels}) for name in "abc"]
    names = {label: f"a structure with a long name {label}" for label in labels}
    picture = box_plots(methods, labels, "Dice", label_style(names, {}))
    assert [len(values) for values, _ in drawn] == [20] * 9
    assert picture.width == 1320
    assert len(picture.png) < 300_000


def test_labels_without_any_number_and_single_cases():
    method = method_of("ours", {1: [math.nan], 2: [0.5]})
    assert box_plots([method], [1, 2, 3], "Dice", label_style({1: "a", 2: "b", 3: "c"}, {})).png


def test_white_stays_white():
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[:10] = np.random.default_rng(0).integers(0, 256, (10, 40, 3))
    picture = from_pixels(pixels, "noise", shaded=True)
    with Image.open(io.BytesIO(picture.png)) as image:
        assert (np.asarray(image.convert("RGB"))[20:] == 255).all()
    assert (picture.width, picture.height) == (40, 40)
    assert picture.source.startswith("data:image/png;base64,iVBOR")
