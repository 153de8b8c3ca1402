import colorsys
import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from impulse_nnunet.outputs.colours import (
    HUES,
    INTRUSION,
    from_hex,
    label_colours,
    label_style,
    short_name,
    to_hex,
)

# the published palette, https://jfly.uni-koeln.de/color/, without its black and vermilion
OKABE_ITO = {(0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (240, 228, 66)}
# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
LOBES = {"RUL": [1, 2, 3], "RML": [4, 5], "RLL": [6, 7, 8, 9, 10], "LUL": [11, 12, 13, 14], "LLL": [15, 16, 17, 18]}


def hue(colour):
    return colorsys.rgb_to_hsv(*colour)[0]


def difference(first, second):
    return float(deltaE_ciede2000(rgb2lab(np.array(first)), rgb2lab(np.array(second))))


def as_deuteranopes_see(colour):
    colour = np.array(colour)
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    seen = np.clip(DEUTERANOPIA @ linear, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_up_to_six_labels_have_the_published_colours():
    colours = label_colours([1, 2, 3, 4, 5, 6])
    assert {tuple(round(255 * value) for value in colour) for colour in colours.values()} == OKABE_ITO


def test_hues_differ_for_deuteranopes_too():
    seen = [as_deuteranopes_see(from_hex(text)) for text in HUES]
    assert min(difference(one, other) for one, other in itertools.combinations(seen, 2)) > 8


def test_a_lobe_shares_a_hue_and_lobes_do_not():
    colours = label_colours(range(1, 19), LOBES)
    hues = [np.mean([hue(colours[label]) for label in members]) for members in LOBES.values()]
    for members, own in zip(LOBES.values(), hues, strict=True):
        np.testing.assert_allclose([hue(colours[label]) for label in members], own, atol=0.01)
    assert min(abs(one - other) for one, other in itertools.combinations(hues, 2)) > 0.03


def test_segments_of_the_lung_differ_visibly():
    colours = list(label_colours(range(1, 19), LOBES).values())
    assert (
        min(difference(one, other) for one, other in itertools.combinations(colours, 2)) > 6
    )  # 2.3 is just noticeable


def test_no_label_looks_like_an_intrusion():
    colours = [*label_colours(range(1, 19), LOBES).values(), *label_colours(range(1, 61)).values()]
    assert min(difference(colour, from_hex(INTRUSION)) for colour in colours) > 20


def test_labels_outside_every_lobe_and_lobes_of_unknown_labels():
    colours = label_colours([1, 2, 9], {"upper": [1, 2], "gone": [7]})
    assert list(colours) == [1, 2, 9]
    assert len(set(colours.values())) == 3


def test_sixty_labels_without_lobes_have_sixty_colours():
    assert len(set(label_colours(range(1, 61)).values())) == 60


def test_hex_there_and_back():
    assert from_hex("#FF8000") == (1.0, 128 / 255, 0.0)
    assert to_hex(from_hex("#0172B2")) == "#0172B2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("RS1", "RS1"), ("right S1", "S1"), ("left S1+2", "S1+2"), ("right upper lobe", "7"), ("", "7"), ("label 7", "7")],
)
def test_short_names(name, expected):
    assert short_name(name, 7) == expected


def test_lines_stand_out_from_their_ground():
    style = label_style({label: str(label) for label in range(1, 19)}, LOBES)
    light = [np.dot((0.2126, 0.7152, 0.0722), style.outline(label, False)) for label in range(1, 19)]
    dark = [np.dot((0.2126, 0.7152, 0.0722), style.outline(label, True)) for label in range(1, 19)]
    assert max(light) < 0.65
    assert min(dark) > 0.3


def test_a_label_that_nobody_named_is_drawn_grey():
    red, green, blue = label_style({1: "a"}, {}).colour(99)
    assert red == green == blue
