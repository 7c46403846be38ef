"""The page in a real browser: what a visitor clicks, types and sees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedbed.corrections import read_lines
from seedbed.report.palette import make_palette, make_thing_colours
from tests.view.conftest import CLASSES, IDS, PROJECT, SIZE, TRUTHS

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
REQUIRED = "SEEDBED_BROWSER"  # where it is set, a missing browser is a failure
SECONDS = 20.0
KEPT, BEGUN = "kept.jsonl", "begun.jsonl"
POINT = """
    const one = document.getElementById("canvas-a"), box = one.getBoundingClientRect();
    const scale = Math.min(box.width / one.width, box.height / one.height);
    const left = box.left + (box.width - one.width * scale) / 2, top = box.top + (box.height - one.height * scale) / 2;
    const [x, y] = arguments;
    one.dispatchEvent(new PointerEvent("pointermove", {clientX: left + x * scale, clientY: top + y * scale, bubbles: true}))
"""


class Browser:
    """A browser, and the page that it shows."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str) -> None:
        """Go to an address of the page, and wait until it is drawn."""
        self.driver.get(self.address + path)
        self.wait(lambda: self.shown in ("grid", "image", "message"))

    def wait(self, true: Callable[[], object]) -> None:
        """Wait for something to hold."""
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, self.text("body")
            time.sleep(0.02)

    @property
    def shown(self) -> str:
        return str(self.script("return document.getElementById('content').dataset.shown ?? ''"))

    def script(self, text: str, *arguments: object) -> Any:
        return self.driver.execute_script(text, *arguments)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        return str(self.script("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def press(self, key: str) -> None:
        self.driver.find_element("css selector", "#content").send_keys(key)

    def choose(self, name: str, value: str) -> None:
        """Choose an entry of a list."""
        self._set(f"select[name='{name}']", value, "change")

    def slide(self, selector: str, value: float) -> None:
        """Move a slider."""
        self._set(selector, value, "input")

    def _set(self, selector: str, value: object, event: str) -> None:
        text = "const one = document.querySelector(arguments[0]); one.value = arguments[1]; one.dispatchEvent(new Event(arguments[2]))"
        self.script(text, selector, value, event)

    def pixels(self, side: str = "a") -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What is drawn."""
        values = self.script(
            "const one = document.getElementById(`canvas-${arguments[0]}`);"
            "return Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data)",
            side,
        )
        return np.array(values, np.uint8).reshape(*SIZE, 4)[..., :3]

    def settle(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """What is drawn, once all of it is."""
        self.wait(lambda: self.all("#stage[aria-busy=false]"))
        return self.pixels()

    def cards(self) -> list[str]:
        return [str(one) for one in self.script("return [...document.querySelectorAll('.card')].map((one) => one.title)")]


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Chromium without a window."""
    if not (CHROMIUM and DRIVER):
        assert not os.environ.get(REQUIRED), "chromium and chromedriver are missing"
        pytest.skip("chromium and chromedriver are missing, so the page is not tried in a browser")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def address(finished: Path, worse: Path) -> Iterator[str]:
    """Where `seedbed view` serves two runs."""
    with served(finished, "view", "--against", str(worse)) as address:
        yield address


@pytest.fixture(scope="module")
def clicks_address(clickable: Path) -> Iterator[str]:
    """Where `seedbed click` has an image clicked on."""
    with served(clickable, "click", IDS[1], "--by", "clicks_tree", "--corrections", KEPT) as address:
        yield address


@contextmanager
def served(folder: Path, *command: str) -> Iterator[str]:
    """What a command serves: the address that it prints."""
    typed = [sys.executable, "-m", "seedbed.cli", *command, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(typed, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stderr is not None
        line = server.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:"), server.stderr.read()
        try:
            yield line.split()[1].rstrip("/")
        finally:  # or a test that fails would wait for it for ever
            server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) in (0, 130) and "Traceback" not in server.stderr.read()


@pytest.fixture
def browser(driver: Any, address: str) -> Iterator[Browser]:
    yield Browser(driver, address)
    complaints = [entry["message"] for entry in driver.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert complaints == []


# --- All images ---


def test_the_grid_opens_with_all_images_and_odd_names_as_they_are(browser: Browser) -> None:
    browser.open("/")
    assert browser.cards() == list(IDS)
    assert browser.text(".card bdi") == IDS[0] and not browser.all("#content script")
    assert browser.text("#count") == "1–3 of 3"
    options = [one.text for one in browser.all("select[name='class'] option")]
    assert options == ["any class", *CLASSES]


def test_images_are_filtered_sorted_and_the_address_tells_it(browser: Browser) -> None:
    browser.open("/")
    browser.choose("split", "train")
    browser.wait(lambda: browser.cards() == list(IDS[:2]))
    browser.choose("sort", "smallest:seeds")
    browser.wait(lambda: browser.cards() == [IDS[1], IDS[0]])
    browser.script("document.querySelector('button[name=order]').click()")
    browser.wait(lambda: browser.cards() == [IDS[0], IDS[1]])
    here = browser.driver.current_url
    assert "split=train" in here and "sort=smallest%3Aseeds" in here and "order=descending" in here
    browser.open("/")
    browser.driver.get(here)
    browser.wait(lambda: browser.cards() == [IDS[0], IDS[1]])
    browser.driver.back()
    browser.wait(lambda: browser.cards() == list(IDS))


def test_nothing_that_is_asked_for(browser: Browser) -> None:
    browser.open("/?text=nowhere")
    assert browser.cards() == [] and "No image is like that." in browser.text("#content")
    browser.open("/?split=nowhere")
    assert "split: found 'nowhere'; expected one of: train, val" in browser.text("#content")


# --- One image ---


def go_to(browser: Browser, number: int, more: str = "") -> None:
    from urllib.parse import quote

    browser.open(f"/?id={quote(IDS[number], safe='')}{more}")
    browser.wait(lambda: browser.shown == "image")


def test_keys_toggle_layers_and_the_address_tells_them(browser: Browser) -> None:
    go_to(browser, 0)
    photo = browser.settle()
    names = [one.text for one in browser.all("#layers label[for]")]
    assert names[:1] == ["superpixels: regions"] and names[-2:] == ["truth", "errors"]
    key = names.index("refinement") + 1
    browser.press(str(key))
    browser.wait(lambda: "layers=refinement.labels" in browser.driver.current_url)
    drawn = browser.settle()
    inside = drawn[6, 10].astype(int) - (0.4 * photo[6, 10] + 0.6 * make_palette(2)[1])
    assert np.abs(inside).max() <= 2, "the colour of cats over the photograph"
    assert np.array_equal(drawn[4, 4], make_palette(2)[1]), "their border is opaque"
    assert CLASSES[0] in browser.text("#legend") and "background" in browser.text("#legend")
    browser.slide("#opacity", 100)
    browser.wait(lambda: np.array_equal(browser.pixels()[6, 10], make_palette(2)[1]))
    assert "opacity=100" in browser.driver.current_url
    browser.press("0")
    browser.wait(lambda: np.array_equal(browser.pixels(), photo))


def test_things_are_told_apart_by_colour_with_class_and_score(browser: Browser) -> None:
    go_to(browser, 0, "&layers=instances.things&opacity=100")
    drawn, colours = browser.settle(), make_thing_colours(2)
    assert np.array_equal(drawn[6, 6], colours[1]) and np.array_equal(drawn[6, 18], colours[2])
    legend = browser.text("#legend")
    assert f"1: {CLASSES[0]}1.000" in legend and f"2: {CLASSES[0]}0.500" in legend
    browser.script(POINT, 18.5, 6.5)
    browser.wait(lambda: f"instances: things: 2, {CLASSES[0]}, score 0.500" in browser.text("#about"))
    browser.script(POINT, 30.5, 6.5)
    browser.wait(lambda: "instances: things: none" in browser.text("#about"))


def test_arrows_go_through_the_list_and_g_back_to_it(browser: Browser) -> None:
    go_to(browser, 1, "&sort=smallest:seeds&view=swipe")
    browser.press("\ue014")
    browser.wait(lambda: browser.text("#title") == IDS[0])
    browser.press("\ue012")
    browser.press("\ue012")
    browser.wait(lambda: browser.text("#title") in (IDS[1], IDS[2]))
    browser.press("g")
    browser.wait(lambda: browser.shown == "grid")
    assert "sort=smallest" in browser.driver.current_url and "id=" not in browser.driver.current_url


def test_errors_are_marked_and_explained(browser: Browser) -> None:
    go_to(browser, 2, "&layers=predictions.probabilities,errors&opacity=100")
    drawn = browser.settle()
    predicted = np.zeros(SIZE, np.uint8)
    predicted[:, 18:] = 1
    false, right = (predicted == 1) & (TRUTHS[2] == 0), (predicted == 1) & (TRUTHS[2] == 1)
    assert np.unique(drawn[false].reshape(-1, 3), axis=0).tolist() == [[213, 94, 0]]
    assert not (drawn[right] == (213, 94, 0)).all(axis=-1).any()
    assert "errors of predictions: probabilities" in browser.text("#legend") and "false: a class where background is" in browser.text(
        "#legend"
    )


def test_a_slider_shows_what_a_parameter_would_make_and_what_to_write(browser: Browser) -> None:
    go_to(browser, 1, "&opacity=100&view=swipe")
    browser.choose("stage", "seeds")
    browser.wait(lambda: browser.all("#trial input[name=threshold]"))
    browser.slide("#trial input[name=threshold]", 0.15)
    browser.wait(lambda: browser.text("#params") == "seeds:\n  superpixel_background:\n    threshold: 0.15\n")
    assert browser.text("#consequences") == "dvc repro runs seeds, then segmenter, predictions, evaluation if that changes what they read."
    assert "seeds, as tried" in browser.text("#legend")
    browser.wait(
        lambda: browser.text("#pending").startswith("Without any change, dvc repro already has to see to dataset (it never ran here)")
    )
    browser.slide("#trial input[name=threshold]", 0.8)
    browser.wait(lambda: "As params.yaml says" in browser.text("#trial"))


def test_things_and_saliency_are_tried(browser: Browser) -> None:
    go_to(browser, 1, "&opacity=100&view=swipe")
    browser.choose("stage", "instances")
    browser.wait(lambda: browser.all("#trial input[name=most]"))
    browser.slide("#trial input[name=most]", 4)
    browser.wait(lambda: "instances, as triedscore1: " in browser.text("#legend"))
    drawn, colours = browser.settle(), make_thing_colours(2)
    assert np.array_equal(drawn[5, 5], colours[1]) and np.array_equal(drawn[18, 5], colours[2])
    assert f"1: {CLASSES[1]}1.000" in browser.text("#legend") and f"2: {CLASSES[1]}0.931" in browser.text("#legend")
    browser.slide("#trial input[name=most]", 1)
    browser.wait(lambda: "2: " not in browser.text("#legend"))
    browser.choose("stage", "saliency")
    browser.wait(lambda: browser.all("#trial input[name='correction.doubts_below']"))
    assert not browser.all("#trial input[name=most]") and "instances" not in browser.text("#legend")
    browser.slide("#trial input[name='correction.doubts_below']", 0.4)
    browser.wait(lambda: "saliency, as triednothing, unknown, something" in browser.text("#legend"))
    browser.script(POINT, 5.5, 5.5)
    browser.wait(lambda: "saliency, as tried: something" in browser.text("#about"))
    assert browser.text("#params") == "saliency:\n  unsupervised:\n    correction:\n      doubts_below: 0.4\n"
    assert browser.text("#consequences").startswith("dvc repro runs saliency")


def test_what_lies_under_the_pointer_is_told(browser: Browser) -> None:
    go_to(browser, 0, "&layers=superpixels.regions,refinement.labels&view=swipe")
    browser.settle()
    browser.script(POINT, 10.5, 6.5)
    browser.wait(lambda: "superpixel 0" in browser.text("#about"))
    told = browser.text("#about")
    assert "row 6, column 10" in told and f"refinement: {CLASSES[0]}" in told and f"mean score of {CLASSES[0]}: " in told
    assert "not background: the mean of its strongest scores is" in told


def test_two_runs_stand_side_by_side_or_under_a_swipe(browser: Browser) -> None:
    go_to(browser, 0, "&layers=refinement.labels&opacity=100")
    browser.wait(lambda: np.array_equal(browser.pixels()[6, 15], make_palette(2)[1]))
    browser.wait(lambda: browser.pixels("b")[6, 15].max() < 120)
    browser.press("s")
    browser.wait(lambda: browser.all("#swipe") and not browser.all("#canvas-b"))
    browser.slide("#swipe", 100)
    browser.wait(lambda: np.array_equal(browser.pixels()[6, 15], make_palette(2)[1]))
    browser.slide("#swipe", 0)
    browser.wait(lambda: browser.pixels()[6, 15].max() < 120)


def test_the_keys_are_explained(browser: Browser) -> None:
    browser.open("/")
    browser.press("?")
    browser.wait(lambda: browser.script("return document.getElementById('keys').open"))
    assert "image before, next image" in browser.text("#keys")
    browser.driver.switch_to.active_element.send_keys("?")
    browser.wait(lambda: not browser.script("return document.getElementById('keys').open"))


def test_an_image_that_is_not_there(browser: Browser) -> None:
    browser.open("/?id=../../etc/passwd")
    assert "no image '../../etc/passwd'" in browser.text("#content")


# --- Clicks ---


@pytest.fixture
def clicking(driver: Any, clicks_address: str) -> Iterator[Browser]:
    browser = Browser(driver, clicks_address.partition("?")[0].rstrip("/"))
    driver.get(clicks_address)
    browser.wait(lambda: browser.shown == "clicks" and browser.all("#stage[aria-busy=false]"))
    yield browser
    complaints = [entry["message"] for entry in driver.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert complaints == []


def click(browser: Browser, column: float, row: float, *, button: int = 0, kind: str = "pointerdown") -> None:
    """Press a button over a pixel of the image, or move there."""
    script = POINT.replace("canvas-a", "clicked").replace('"pointermove", {', '"' + kind + '", {button: ' + str(button) + ", ")
    browser.script(script, column + 0.5, row + 0.5)


def said(browser: Browser, text: str) -> None:
    browser.wait(lambda: browser.text("#said").startswith(text) and browser.all("#stage[aria-busy=false]"))


def coloured(browser: Browser) -> int:
    """Pixels in the colour of borders of what is selected."""
    count = (
        "const one = document.getElementById('clicked'), data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;"
        "let count = 0; for (let at = 0; at < data.length; at += 4)"
        "count += data[at] === arguments[0][0] && data[at + 1] === arguments[0][1] && data[at + 2] === arguments[0][2];"
        "return count"
    )
    return int(browser.script(count, [0, 114, 178]))


def test_things_are_selected_by_clicks_which_can_be_taken_back(clicking: Browser) -> None:
    assert "click=clicks_tree" in clicking.driver.current_url and clicking.text("#said") == "Nothing is clicked on."
    click(clicking, 20, 10)
    said(clicking, "1 click:")
    assert "clicks=10%2C20%2C1" in clicking.driver.current_url and coloured(clicking)
    one = clicking.text("#said")
    click(clicking, 2, 2, button=2)
    said(clicking, "2 clicks:")
    assert "clicks=10%2C20%2C1%3B2%2C2%2C0" in clicking.driver.current_url
    clicking.press("u")
    said(clicking, one)
    clicking.script("document.getElementById('clear').click()")
    said(clicking, "Nothing is clicked on.")
    assert "clicks=" not in clicking.driver.current_url and not coloured(clicking) and not clicking.all("#save:not([hidden])")


def test_what_is_selected_can_be_kept_as_a_correction(clicking: Browser, clickable: Path) -> None:
    def kept() -> list[str]:
        return [str(one) for one in clicking.script("return [...document.querySelectorAll('#kept li bdi')].map((one) => one.textContent)")]

    assert kept() == [] and clicking.text("#kept-in") == f"kept in {KEPT}" and clicking.all("#keep[disabled]")
    click(clicking, 20, 10)
    said(clicking, "1 click:")
    clicking.choose("label", CLASSES[1])
    clicking.press("k")
    clicking.wait(lambda: kept() == [CLASSES[1]])
    said(clicking, "Nothing is clicked on.")
    click(clicking, 2, 2)
    said(clicking, "1 click:")
    clicking.script("document.getElementById('keep').click()")
    clicking.wait(lambda: kept() == [CLASSES[1], CLASSES[1]])
    said(clicking, "Nothing is clicked on.")
    clicking.script("document.getElementById('complete').click()")
    clicking.wait(lambda: read_lines(clickable / KEPT)[IDS[1]].complete)
    line = read_lines(clickable / KEPT)[IDS[1]]
    assert [one.clicks for one in line.things] == [[(10, 20, 1)], [(2, 2, 1)]]

    clicking.driver.refresh()
    clicking.wait(lambda: kept() == [CLASSES[1], CLASSES[1]] and clicking.script("return document.getElementById('complete').checked"))
    clicking.script("document.querySelector('#kept button').click()")
    clicking.wait(lambda: kept() == [CLASSES[1]])
    assert [one.clicks for one in read_lines(clickable / KEPT)[IDS[1]].things] == [[(2, 2, 1)]]


def test_clicks_may_begin_with_labels(driver: Any, correcting: Path) -> None:
    with served(correcting, "click", IDS[1], "--by", "clicks_tree", "--corrections", BEGUN) as address:
        browser = Browser(driver, address.partition("?")[0].rstrip("/"))
        driver.get(address)
        said(browser, "Nothing is clicked on.")
        browser.choose("start", CLASSES[1])
        said(browser, "0 clicks:")
        labelled = browser.text("#said")
        assert coloured(browser) and "start=" in driver.current_url
        driver.refresh()
        said(browser, labelled)
        click(browser, 30, 3)
        said(browser, "1 click:")
        assert browser.text("#said") != labelled.replace("0 clicks", "1 click")
        browser.press("k")
        browser.wait(lambda: BEGUN in browser.text("#kept-in") and browser.all("#kept li"))
        said(browser, "Nothing is clicked on.")
        assert [(one.start, len(one.clicks)) for one in read_lines(correcting / BEGUN)[IDS[1]].things] == [(CLASSES[1], 1)]


def test_a_slider_goes_from_part_to_whole(clicking: Browser) -> None:
    click(clicking, 20, 10)
    said(clicking, "1 click:")
    clicking.slide("#level", 0)
    said(clicking, "1 click: 0.5 % of the image")
    top = clicking.script("return Number(document.getElementById('level').max)")
    clicking.slide("#level", top)
    said(clicking, "1 click: 100 % of the image")
    assert f"level={top}" in clicking.driver.current_url
    href = clicking.script("return document.getElementById('save').href")
    assert "/api/mask?" in href and f"level={top}" in href


def test_what_a_click_would_select_is_shown_before_it(clicking: Browser) -> None:
    def foreseen() -> bool:
        drawn = clicking.script("const one = document.getElementById('clicked'); return one.toDataURL()")
        return bool(drawn != before)

    before = clicking.script("const one = document.getElementById('clicked'); return one.toDataURL()")
    click(clicking, 20, 10, kind="pointermove")
    clicking.wait(foreseen)
    click(clicking, 20, 10, kind="pointerleave")
    clicking.wait(lambda: not foreseen())
    assert clicking.text("#said") == "Nothing is clicked on."


def test_an_address_with_clicks_is_answered_as_it_is_and_another_method_answers_them(clicking: Browser) -> None:
    here = clicking.driver.current_url
    clicking.driver.get(f"{here}&clicks=10,20,1;2,2,0&level=3")
    said(clicking, "2 clicks:")
    assert clicking.script("return document.getElementById('level').value") == "3"
    clicking.choose("section", "clicks")
    clicking.wait(lambda: "click=clicks&" in clicking.driver.current_url)
    clicking.wait(lambda: clicking.all("#levels[hidden]"))
    said(clicking, "2 clicks:")
    clicking.script("document.getElementById('back').click()")
    clicking.wait(lambda: clicking.shown == "image")
    clicking.press("c")
    clicking.wait(lambda: clicking.shown == "clicks")
