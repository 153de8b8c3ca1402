import io
import sys

import numpy as np
import pytest
from PIL import Image

from impulse_nnunet.evaluation.report import scenes
from impulse_nnunet.evaluation.report.scenes import Block, NoViewsError, draw_scenes
from impulse_nnunet.outputs.colours import INTRUSION, from_hex, label_style
from tests.evaluation.report import folders
from tests.evaluation.report.test_slices import volumes_of

STYLE = label_style({int(label): name for label, name in folders.NAMES.items()}, {})


def test_small_volumes_stay_as_they_are():
    block = Block.of((24, 28, 32), (3.0, 1.5, 2.0), longest=100)
    assert block == Block((1, 1, 1), (3.0, 1.5, 2.0))
    values = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(block.middle(values), values)
    np.testing.assert_array_equal(block.largest(values), values)


def test_blocks_are_nearly_cubic():
    """The longest edge is 400 mm; a hundredth of it is 4 mm: 1 voxel of 5 mm, 4 of 1 mm, 8 of 0.5 mm."""
    assert Block.of((60, 400, 600), (5.0, 1.0, 0.5), longest=100) == Block((1, 4, 8), (5.0, 4.0, 4.0))


def test_the_middle_and_the_largest_of_blocks():
    values = np.array([[[1, 2, 3, 9, 5]]])
    block = Block((1, 1, 2), (1.0, 1.0, 2.0))
    np.testing.assert_array_equal(block.middle(values), [[[2, 9, 5]]])
    np.testing.assert_array_equal(block.largest(values), [[[2, 9, 5]]])
    np.testing.assert_array_equal(Block((1, 1, 3), (1.0, 1.0, 3.0)).largest(values), [[[3, 9]]])
    np.testing.assert_array_equal(Block((1, 1, 3), (1.0, 1.0, 3.0)).middle(values), [[[2, 5]]])


def test_thin_branches_survive():
    tree = np.zeros((8, 8, 8), np.uint8)
    tree[:, 3, 3], tree[5, 3, 3] = 1, 2
    np.testing.assert_array_equal(Block((4, 4, 4), (4.0, 4.0, 4.0)).largest(tree)[:, 0, 0], [1, 2])


@pytest.fixture(scope="module")
def views():
    """All views of the small case; skipped on machines that cannot draw."""
    try:
        return draw_scenes(volumes_of(tree=folders.tree_mask()), STYLE, "c0")
    except NoViewsError as error:
        pytest.skip(f"this machine cannot draw: {error}")


def pixels_of(picture):
    with Image.open(io.BytesIO(picture.png)) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def has_hue_of(pixels, colour):
    """Coloured pixels whose direction in RGB is that of the colour, whatever the light."""
    wanted = np.array(colour) / np.linalg.norm(colour)
    length = np.linalg.norm(pixels, axis=-1)
    return ((pixels @ wanted) > 0.985 * length) & (length > 40) & (np.ptp(pixels, axis=-1) > 40)


def test_every_view_is_there(views):
    expected = {("reference", v) for v in ("front", "back")} | {("prediction", "ours", v) for v in ("front", "back")}
    assert set(views) == expected | {("tree", "ours", "airway", v) for v in ("front", "back")}


@pytest.mark.parametrize(("view", "left", "right"), [("front", 1, 3), ("back", 3, 1)])
def test_the_patient_s_right_is_at_the_left_from_the_front(views, view, left, right):
    pixels = pixels_of(views[scenes.reference_key(view)])
    width = pixels.shape[1]
    places = {label: np.nonzero(has_hue_of(pixels, STYLE.colour(label)))[1] for label in (1, 3)}
    assert all(len(place) > 500 for place in places.values())
    assert np.median(places[left]) < width / 2 < np.median(places[right])


def test_the_head_is_above(views):
    pixels = pixels_of(views[scenes.reference_key("front")])
    upper, lower = (np.nonzero(has_hue_of(pixels, STYLE.colour(label)))[0].mean() for label in (1, 2))
    assert upper < lower


def test_prediction_and_reference_differ(views):
    """Label 1 has 8 slices of the 16 in the reference, 10 in the prediction."""
    counts = [
        has_hue_of(pixels_of(views[key]), STYLE.colour(1)).sum()
        for key in (scenes.reference_key("front"), scenes.prediction_key("ours", "front"))
    ]
    assert counts[1] / counts[0] == pytest.approx(10 / 8, rel=0.1)


def test_intruding_branches_are_red(views):
    pixels = pixels_of(views[scenes.tree_key("ours", "airway", "front")])
    red = has_hue_of(pixels, from_hex(INTRUSION))
    rows, columns = np.nonzero(red)
    # x = 9 of 32; z = 11 of 24, so 13 from the head
    assert columns.mean() / pixels.shape[1] == pytest.approx(0.5 + (9 / 32 - 0.5) / 1.06, abs=0.02)
    assert rows.mean() / pixels.shape[0] == pytest.approx(0.5 + (13 / 24 - 0.5) / 1.06, abs=0.02)
    assert not has_hue_of(pixels_of(views[scenes.reference_key("front")]), from_hex(INTRUSION)).any()


def test_words(views):
    assert views[scenes.tree_key("ours", "airway", "back")].alt == (
        "c0: airway with the branches that intrude into segments of ours in red, back"
    )


def test_nothing_labelled_is_an_empty_picture(views):
    empty = np.zeros(folders.SHAPE, np.uint8)
    drawn = draw_scenes(volumes_of(empty, reference=empty), STYLE, "c0")
    assert np.median(pixels_of(drawn[scenes.reference_key("front")])) == 255


def refused(monkeypatch, program, text):
    monkeypatch.setattr(scenes, "CHILD", (sys.executable, "-c", program))
    with pytest.raises(NoViewsError, match=text):
        draw_scenes(volumes_of(), STYLE, "c0")


def test_a_crash_of_the_driver(monkeypatch):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    refused(monkeypatch, program, r"the drawing process ended with signal 11 \(without a word\)")


def test_an_error_in_the_child(monkeypatch):
    refused(monkeypatch, "raise ImportError('no libGL')", r"exit code 1 \(ImportError: no libGL\)")


def test_a_child_that_hangs(monkeypatch):
    monkeypatch.setattr(scenes, "SECONDS_TO_START", 0.5)
    monkeypatch.setattr(scenes, "SECONDS_A_VIEW", 0.0)
    refused(monkeypatch, "import time; time.sleep(60)", "drawing took longer than 0 s")


def test_a_child_that_cannot_start(monkeypatch):
    monkeypatch.setattr(scenes, "CHILD", ("no_such_program",))
    with pytest.raises(NoViewsError, match="the drawing process could not be started"):
        draw_scenes(volumes_of(), STYLE, "c0")


def test_the_second_attempt_is_without_a_display(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":no")
    program = "import os, sys; sys.exit('DISPLAY' in os.environ)"
    monkeypatch.setattr(scenes, "CHILD", (sys.executable, "-c", program))
    with pytest.raises(NoViewsError, match="left no picture"):  # it succeeded, but this child draws nothing
        draw_scenes(volumes_of(), STYLE, "c0")
