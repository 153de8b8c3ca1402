"""What a reader of a page sees and does, in a real headless Chromium without a network."""

import io
import itertools
import time

import numpy as np
import pytest
from PIL import Image

from impulse_nnunet.outputs.names import find_names
from impulse_nnunet.outputs.page.files import case_files
from impulse_nnunet.outputs.page.write import write_page
from tests.outputs.page import scenes
from tests.outputs.page.browser import Browser, chromium

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium (Debian: apt-get install chromium)")
RIGHT, BELOW, LEFT = "1", "2", "3"


def make_page(folder, **how):
    labels = scenes.write_case(folder, **how)
    beside = {"images": folder / "images", "trees": folder / "trees", "lesion": folder / "lesions"}
    return write_page(case_files("case_1", labels, **beside), find_names(labels), folder / "case_1.html")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def window(page):
    with Browser(1100, 720) as browser:
        browser.open(page)
        yield browser
        assert browser.errors == []


@pytest.fixture
def browser(window):
    window.key("Home")  # everything as at the start
    window.ask("impulse.state.goTo([-1e3, -1e3, -1e3])")  # a corner: no structure under the crosshair
    window.frames()
    return window


def place(browser, view, point):
    """Where a world point is on the window."""
    to_pixel = (
        f"v.pixelOf({list(map(float, point))})"
        if view == "scene"
        else f"v.pixelOf(impulse.frame.fromWorld({list(map(float, point))}))"
    )
    found = browser.ask(
        f"(() => {{ const v = impulse.views.{view}; const p = {to_pixel};"
        "const b = (v.canvas).getBoundingClientRect(); return [b.left + p[0], b.top + p[1]]; })()"
    )
    return np.asarray(found)


def colours(browser):
    return np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB")).astype(int)


def shown(browser):
    return browser.ask("impulse.state.structures.filter((one) => one.visible).map((one) => one.id)")


def test_scripts_can_ask_what_is_promised(browser):
    assert browser.ask("impulse.ready") is True
    assert browser.ask("impulse.labels") == {"1": "right S1", "2": "right S6", "3": "left S3"}
    assert browser.ask("impulse.spacing_mm") == pytest.approx(scenes.SPACING_MM)
    # 14 x 20 x 12 voxels of 3.75 mm^3 are 12.6 ml; 14 x 20 x 14: 14.7; 14 x 20 x 26: 27.3; 4 x 4 x 32: 1.92;
    # 6 x 6 x 4: 0.54
    expected = {"1": 12.6, "2": 14.7, "3": 27.3, "airway": 1.92, "lesion": 0.54}
    assert browser.ask("impulse.volumes_ml") == pytest.approx(expected)
    assert browser.ask("impulse.distance_mm([0, 0, 0], [3, 4, 12])") == 13


def test_nothing_is_asked_of_a_network(window, page):
    assert [url for url in window.requests if url != page.resolve().as_uri()] == []
    # and the page itself forbids it: what a script tries is refused before it leaves
    refused = window.ask("fetch('https://example.org').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    window.errors.clear()  # the browser logs the refusal


def test_the_page_says_what_it_is_and_lists_volumes(browser):
    text = browser.ask("document.body.innerText")
    assert "Research use only. Not a medical device." in text
    assert "12.6 ml" in browser.ask("document.querySelector('[data-id=\"1\"]').innerText").replace("\n", " ") + " ml"
    assert browser.ask("document.title") == "case_1"


def test_a_distance_between_two_clicks_in_a_slice(browser):
    # from the middle of the right upper box to that of the left one: 38 voxels of 1.5 mm along x in the same slice
    a, b = (scenes.centre(scenes.BOXES[name]) for name in ("right S1", "left S3"))
    b = np.array([b[0], a[1], a[2]])
    browser.ask(f"impulse.state.goTo({a.tolist()})")
    browser.key("m")
    for point in (a, b):
        browser.click(*place(browser, "axial", point))
    [ruler] = browser.ask("impulse.state.rulers")
    assert browser.ask(f"impulse.distance_mm({ruler['a']}, {ruler['b']})") == pytest.approx(38 * 1.5, abs=0.5)
    browser.key("Escape")
    assert browser.ask("impulse.state.rulers.length") == 0


def test_a_distance_between_two_clicks_in_3d(browser):
    # the front faces of the boxes lie in one plane; their middles are 38 voxels of 1.5 mm along x and 7 of 2 mm along z
    # apart
    browser.ask("impulse.state.ghost = 1; impulse.state.tell('look')")
    front = scenes.FIRST_MM[1] + 19.5 * scenes.SPACING_MM[1]
    points = [scenes.centre(scenes.BOXES[name]) for name in ("right S1", "left S3")]
    browser.ask("document.querySelector('#measure').click()")
    for x, _, z in points:
        browser.click(*place(browser, "scene", (x, front, z)))
    [ruler] = browser.ask("impulse.state.rulers")
    length = browser.ask(f"impulse.distance_mm({ruler['a']}, {ruler['b']})")
    assert length == pytest.approx(np.hypot(38 * 1.5, 7 * 2), abs=0.5)
    assert ruler["a"][1] == pytest.approx(front, abs=0.5)


def test_no_measuring_in_3d_while_parts_are_moved_away(browser):
    browser.ask(
        "impulse.state.explode = 0.5; impulse.state.ghost = 1;impulse.state.measure(true); impulse.state.tell('look')"
    )
    browser.frames()
    browser.ask("impulse.views.scene.clicked({point: [0, 0, 0]})")
    assert browser.ask("impulse.state.rulers.length") == 0
    assert "set Explode to 0" in browser.ask("document.querySelector('#toast').innerText")


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
def test_a_click_in_a_slice_moves_the_point_of_all_views(browser, view):
    target = scenes.centre(scenes.BOXES["left S3"])
    browser.ask(f"impulse.state.goTo({target.tolist()})")
    browser.ask("impulse.state.goTo(impulse.state.place.map((v) => v - 6))")
    browser.frames()
    where = browser.ask("impulse.state.place")
    across = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[view]
    expected = [target[k] if k in across else where[k] for k in range(3)]
    browser.click(*place(browser, view, expected))
    assert browser.ask("impulse.state.place") == pytest.approx(expected, abs=0.5)


def test_a_click_in_3d_moves_the_point_to_the_surface(browser):
    browser.ask("impulse.state.ghost = 1; impulse.state.tell('look')")
    x, _, z = scenes.centre(scenes.BOXES["left S3"])
    front = scenes.FIRST_MM[1] + 19.5 * scenes.SPACING_MM[1]
    browser.click(*place(browser, "scene", (x, front, z)))
    assert browser.ask("impulse.state.place") == pytest.approx([x, front, z], abs=0.6)


def test_names_on_hover(browser):
    browser.ask(f"impulse.state.goTo({scenes.centre(scenes.LESION).tolist()})")
    browser.frames()
    browser.mouse("mouseMoved", *place(browser, "axial", scenes.centre(scenes.LESION)))
    browser.frames()
    name = browser.ask("document.querySelector('#name').innerText")
    assert name.startswith("lesion \u00b7 right S1 \u00b7 30 HU")
    browser.mouse("mouseMoved", *place(browser, "scene", scenes.centre(scenes.AIRWAY)))
    browser.frames()
    assert browser.ask("document.querySelector('#name').innerText") == "airway"


def test_show_hide_and_isolate(browser):
    row = f"document.querySelector('[data-id=\"{RIGHT}\"]')"
    browser.ask(f"{row}.querySelector('.swatch').click()")
    assert shown(browser) == [BELOW, LEFT, "airway", "lesion"]
    assert browser.ask(f"{row}.querySelector('.swatch').getAttribute('aria-pressed')") == "false"
    browser.ask(f"{row}.querySelector('.only').click()")
    assert shown(browser) == [RIGHT]
    browser.ask(f"{row}.querySelector('.only').click()")
    assert shown(browser) == [BELOW, LEFT, "airway", "lesion"]  # as it was before
    browser.ask(
        "[...document.querySelectorAll('#list .only')].find((b) => b.title.includes('right lower lobe')).click()"
    )
    assert shown(browser) == [BELOW]
    browser.key("a")
    assert len(shown(browser)) == 5


def test_what_is_hidden_is_gone_from_the_picture(browser):
    browser.ask("impulse.state.ghost = 1; impulse.state.tell('look')")
    x, y = place(browser, "scene", scenes.centre(scenes.BOXES["left S3"])).round().astype(int)
    before = colours(browser)[y, x]
    browser.ask(f"impulse.state.show(['{LEFT}'], false)")
    after = colours(browser)[y, x]
    assert np.abs(before - after).max() > 40
    assert after.max() < 50  # the dark ground


def test_explode_moves_segments_away_from_each_other_and_not_the_tree(browser):
    at = "((id) => impulse.views.scene.placeOf(impulse.state.byId.get(id)))"
    before = {one: np.array(browser.ask(f"{at}('{one}')")) for one in (RIGHT, LEFT, "airway")}
    browser.key("x")
    after = {one: np.array(browser.ask(f"{at}('{one}')")) for one in (RIGHT, LEFT, "airway")}
    assert after[RIGHT][0] < before[RIGHT][0] - 3
    assert after[LEFT][0] > before[LEFT][0] + 3
    assert (after["airway"] == before["airway"]).all()


def test_opacity_of_one_structure(browser):
    browser.ask(f"document.querySelector('[data-id=\"{LEFT}\"] .label').click()")
    slider = f"document.querySelector('[data-id=\"{LEFT}\"] .more input')"
    assert browser.ask(f"{slider}.offsetParent !== null")
    browser.ask(f"(() => {{ const s = {slider}; s.value = 40; s.dispatchEvent(new Event('input')); }})()")
    # segments are translucent at the start, since there is a tree inside: both together
    assert browser.ask(f"impulse.state.opacity(impulse.state.byId.get('{LEFT}'))") == pytest.approx(0.4 * 0.35)
    assert browser.ask("impulse.state.place")[0] == pytest.approx(scenes.centre(scenes.BOXES["left S3"])[0], abs=1.5)


def test_windows_of_grey_values(browser):
    target = np.asarray(scenes.FIRST_MM) + np.array([36, 10, 30]) * scenes.SPACING_MM  # soft tissue, 40 HU, no label
    browser.ask(f"impulse.state.goTo({(target + np.array([9, 7, 0])).tolist()})")
    greys = {}
    for name in ("Lung", "Mediastinum", "Bone"):
        browser.ask(f"[...document.querySelectorAll('#windows button')].find((b) => b.innerText === '{name}').click()")
        x, y = place(browser, "axial", target).round().astype(int)
        greys[name] = colours(browser)[y, x]
    # 40 HU: (40 + 1350) / 1500 of 255 is 236; (40 + 160) / 400: 128; (40 + 600) / 2000: 82
    assert np.abs(greys["Lung"] - 236).max() <= 3
    assert np.abs(greys["Mediastinum"] - 128).max() <= 3
    assert np.abs(greys["Bone"] - 82).max() <= 3


def test_the_screenshot_is_a_picture_of_the_views(browser, tmp_path):
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.ask("document.querySelector('#screenshot').click()")
    end = time.monotonic() + 30
    while [file.name for file in tmp_path.iterdir() if file.stat().st_size] != [
        "case_1.png"
    ] and time.monotonic() < end:
        time.sleep(0.05)
    picture = np.asarray(Image.open(tmp_path / "case_1.png").convert("RGB"))
    assert picture.shape[1] == 1100 - 264  # the window without the list
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500  # neither blank nor one view alone


def test_the_keyboard_goes_through_slices_and_turns(browser):
    browser.ask("impulse.state.goTo([0, 40, -260])")
    browser.ask("impulse.views.axial.element.focus()")
    before = browser.ask("impulse.state.place")
    browser.key("ArrowUp")
    assert np.array(browser.ask("impulse.state.place")) - before == pytest.approx([0, 0, 2])
    browser.key("2")
    assert browser.ask("impulse.views.scene.marks.letters") == ["L", "R", "S", "I"]  # from the back
    browser.ask("impulse.views.scene.element.focus()")
    browser.key("ArrowLeft")
    assert browser.ask("impulse.views.scene.marks.letters")[2:] == ["S", "I"]
    browser.key("?")
    assert browser.ask("document.querySelector('#keys').open")
    browser.ask("document.querySelector('#keys').close()")


VIEWS_FROM = {
    "1": ["R", "L", "S", "I"],
    "2": ["L", "R", "S", "I"],
    "3": ["P", "A", "S", "I"],
    "4": ["A", "P", "S", "I"],
    "5": ["R", "L", "P", "A"],
    "6": ["R", "L", "A", "P"],
}


@pytest.mark.parametrize("key", VIEWS_FROM)
def test_letters_at_the_edges_of_the_3d_view(browser, key):
    browser.key(key)
    assert browser.ask("impulse.views.scene.marks.letters") == VIEWS_FROM[key]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return {flips: make_page(tmp_path_factory.mktemp("flips"), flips=flips) for flips in scenes.FLIPS}


@pytest.mark.parametrize("flips", scenes.FLIPS)
def test_left_and_right_whichever_way_the_file_is_stored(window, pages, flips):
    window.open(pages[flips])
    window.ask("impulse.state.ghost = 1; impulse.state.tell('look')")
    centres = {name: scenes.centre(box) for name, box in scenes.BOXES.items()}
    assert centres["right S1"][0] < centres["left S3"][0]  # LPS: x runs to the patient's left
    assert window.ask("impulse.views.scene.marks.letters") == ["R", "L", "S", "I"]
    assert window.ask("impulse.views.axial.letters") == ["R", "L", "A", "P"]
    assert window.ask("impulse.views.coronal.letters") == ["R", "L", "S", "I"]
    assert window.ask("impulse.views.sagittal.letters") == ["A", "P", "S", "I"]
    for view, (name, point) in itertools.product(("scene", "axial", "coronal"), centres.items()):
        window.ask(f"impulse.state.goTo({(point + 4).tolist()})")
        window.frames()
        x, y = place(window, view, point)
        box = window.ask(f"(({{left, width}}) => [left, width])(impulse.views.{view}.canvas.getBoundingClientRect())")
        assert (x < box[0] + box[1] / 2) == name.startswith("right"), (view, name)
        window.mouse("mouseMoved", x, y)
        window.frames()
        assert name in window.ask("document.querySelector('#name').innerText"), (view, name)


def test_an_oblique_image_lies_in_3d_where_it_is_in_the_world(window, tmp_path):
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    window.open(make_page(tmp_path, turn=turn))
    expected = turn @ scenes.centre(scenes.BOXES["left S3"])
    mesh = window.ask(f"impulse.state.byId.get('{LEFT}').mesh.centre")
    assert mesh == pytest.approx(expected, abs=0.5)
    assert "turned against the body's axes by 20 degrees" in window.ask("document.querySelector('#notes').innerText")
    window.ask(f"impulse.state.goTo({expected.tolist()})")
    window.frames()
    window.mouse("mouseMoved", *place(window, "axial", expected))
    window.frames()
    assert "left S3" in window.ask("document.querySelector('#name').innerText")


def test_a_phone(page):
    with Browser(400, 800, touch=True) as phone:
        phone.open(page)
        # every button within the window, none over another
        boxes = phone.ask(
            "[...document.querySelectorAll('button, input, #foot')]"
            ".filter((e) => e.offsetParent && !e.closest('#list'))"
            ".map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.top, b.right, b.bottom])"
        )
        assert len(boxes) > 10
        assert all(left >= -0.5 and right <= 400.5 and bottom <= 800.5 for left, _, right, bottom in boxes)
        for a, b in itertools.combinations(boxes, 2):
            assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (a, b)
        phone.ask("[...document.querySelectorAll('#tabs button')].find((b) => b.innerText === 'Axial').click()")
        target = scenes.centre(scenes.BOXES["left S3"])
        phone.ask(f"impulse.state.goTo({(target + np.array([-9, 9, 0])).tolist()})")
        phone.frames()
        phone.tap(*place(phone, "axial", target))
        assert phone.ask("impulse.state.place") == pytest.approx(target, abs=0.6)
        x, y = place(phone, "axial", target)
        phone.touch("touchStart", (x - 20, y), (x + 20, y))
        phone.touch("touchMove", (x - 40, y), (x + 40, y))
        phone.touch("touchEnd")
        assert phone.ask("impulse.views.axial.zoom") == pytest.approx(2, rel=0.1)
        assert phone.errors == []


def test_without_webgl_the_slices_go_on(page):
    with Browser(flags=("--disable-3d-apis",)) as plain:
        plain.open(page)
        assert plain.ask("impulse.ready")
        assert "No 3D view" in plain.ask("document.querySelector('#toast').innerText")
        assert plain.ask("impulse.views.axial.letters") == ["R", "L", "A", "P"]
