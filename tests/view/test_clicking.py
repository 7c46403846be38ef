"""What the page is told that clicks on an image select: what the stage would say, however the clicks came about."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from ruamel.yaml import YAML

from seedbed import clicker
from seedbed.algorithms.clicks import Click, ClickTree
from seedbed.clicks.tree import Tree
from seedbed.errors import SeedbedError
from seedbed.merge_trees import Trees
from seedbed.networks.weights import restore
from seedbed.networks.zooming import Zoom, ZoomedAnswer
from seedbed.params import rebuild
from seedbed.store.artifact import open_artifact
from seedbed.tools import view
from seedbed.tools.view import look_by_clicks
from tests.support.publishing import published
from tests.view.conftest import IDS, SIZE, Page, make_labels

CLICKS = "3,4,1;20,30,1;4,6,0"
NOTHING = np.zeros(SIZE, np.bool_)
GIVEN = [Click(3, 4, True), Click(20, 30, True), Click(4, 6, False)]


@pytest.fixture
def page(look: Callable[..., Page], clickable: Path) -> Page:
    return look(clickable)


@pytest.fixture
def regions(clickable: Path) -> ClickTree:
    return Trees(open_artifact("trees", folder=clickable / "data")).of(IDS[1], SIZE)


def tree(clickable: Path) -> Tree:
    return Tree(**content(clickable)["clicks_tree"]["tree"])


def content(clickable: Path) -> Any:
    return YAML(typ="safe").load(clickable / "params.yaml")


def test_what_answers_clicks_is_described(page: Page) -> None:
    assert page.json("run")["clicks"] == [
        {"section": "clicks", "levels": False, "corrects": False},
        {"section": "clicks_tree", "levels": True, "corrects": False},
    ]


def test_clicks_correct_what_labels_call_a_class(look: Callable[..., Page], correcting: Path, regions: ClickTree) -> None:
    page = look(correcting)
    assert [one["corrects"] for one in page.json("run")["clicks"]] == [False, True]
    start = make_labels(1) == 2
    asked = {"id": IDS[1], "section": "clicks_tree", "start": "<b>dog</b>"}
    assert np.array_equal(page.array("click", **asked, clicks="") > 0, start) and start.any()
    method = tree(correcting)
    for count in (1, 3, 2):
        text = ";".join(CLICKS.split(";")[:count])
        expected = method.select(regions, GIVEN[:count], start=start)
        assert np.array_equal(page.array("click", **asked, clicks=text) > 0, expected)
        nothing = page.array("click", **{**asked, "start": ""}, clicks=text) > 0
        assert np.array_equal(nothing, method.select(regions, GIVEN[:count], start=np.zeros(SIZE, bool)))
    text = CLICKS.split(";")[0]
    levelled = page.array("click", **asked, clicks=text, level=2) > 0
    assert np.array_equal(levelled, method.select(regions, GIVEN[:1], start=start, level=2))


def test_labels_that_change_are_begun_with_as_they_are(look: Callable[..., Page], correcting: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(correcting, root)
    page = look(root)
    asked = {"id": IDS[1], "section": "clicks_tree", "start": "<b>dog</b>", "clicks": "3,30,0"}
    before = page.array("click", **asked)
    made = open_artifact("seeds", folder=root / "other")
    rows = [{"ids": one, "size": SIZE, "labels": np.full(SIZE, 2)} for one in IDS]
    published("seeds", root / "other", rows, extents={"y": SIZE[0], "x": SIZE[1]}, made_by=made.made_by)
    assert page.array("click", **asked).sum() > before.sum()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"section": "clicks", "start": "cat"},
            "params.yaml: clicks.start: found 'data/none.zarr'; expected labels that clicks can correct",
        ),
        ({"section": "clicks_tree", "start": "horse"}, "start: found 'horse'; expected one of: background, cat, <b>dog</b>"),
    ],
)
def test_what_clicks_cannot_correct_is_said(look: Callable[..., Page], correcting: Path, asked: dict[str, str], said: str) -> None:
    assert said in look(correcting).json("click", id=IDS[1], clicks=CLICKS, **asked)["error"]


def test_labels_of_another_data_set_are_refused(look: Callable[..., Page], correcting: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(correcting, root)
    published("seeds", root / "other", [{"ids": IDS[1], "size": SIZE, "labels": np.zeros(SIZE)}], extents={"y": SIZE[0], "x": SIZE[1]})
    said = look(root).json("click", id=IDS[1], section="clicks_tree", start="cat", clicks="")["error"]
    assert "found an artifact of another data set" in said


def test_a_run_without_such_a_section_has_nothing_that_does(look: Callable[..., Page], finished: Path) -> None:
    page = look(finished)
    assert page.json("run")["clicks"] == []
    assert "section: found 'clicks'" in page.json("click", id=IDS[0], section="clicks", clicks=CLICKS)["error"]


def test_regions_are_selected_as_in_the_stage(page: Page, clickable: Path, regions: ClickTree) -> None:
    for count in (1, 2, 3, 2):
        text = ";".join(CLICKS.split(";")[:count])
        selected = page.array("click", id=IDS[1], section="clicks_tree", clicks=text)
        assert selected.shape == SIZE and np.array_equal(selected > 0, tree(clickable).select(regions, GIVEN[:count], start=NOTHING))
    assert not page.array("click", id=IDS[1], section="clicks_tree", clicks="").any()


def test_the_network_answers_as_in_the_stage_whatever_was_asked_before(page: Page, clickable: Path) -> None:
    params = content(clickable)
    trained = rebuild(clicker.Method, "mis", params["clicker"]["mis"], where="")
    network = restore(trained.network(), open_artifact("clicker", folder=clickable / "data"), device="cpu")
    photo = np.asarray(PillowImage.open(clickable / "data/raw/tiny/images/1.png"))
    zoom = Zoom(**params["clicks"]["learned"]["zoom"])
    masks = []
    for count in (3, 1, 2, 3):
        answer = ZoomedAnswer(network, photo, zoom, "cpu")
        expected = [answer(GIVEN[:number]) for number in range(1, count + 1)][-1]
        masks.append(page.array("click", id=IDS[1], section="clicks", clicks=";".join(CLICKS.split(";")[:count])) > 0)
        assert np.array_equal(masks[-1], expected)
    assert np.array_equal(masks[0], masks[3])


def test_one_more_click_is_one_more_answer(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    answer = ZoomedAnswer.__call__

    def counted(self: ZoomedAnswer, clicks: list[Click]) -> np.ndarray:
        asked.append(len(clicks))
        return answer(self, clicks)

    monkeypatch.setattr(ZoomedAnswer, "__call__", counted)
    for text in (CLICKS, f"{CLICKS};9,9,1", CLICKS, f"{CLICKS};8,8,0"):
        page.array("click", id=IDS[2], section="clicks", clicks=text)
    assert asked == [1, 2, 3, 4, 4]


def test_levels_go_from_the_patch_to_the_whole(page: Page, clickable: Path, regions: ClickTree) -> None:
    levels = page.array("levels", id=IDS[1], section="clicks_tree", clicks=CLICKS)
    chain = [*regions.climb(int(regions.patches[20, 30]))]
    assert levels.max() == len(chain) - 1
    for level, region in enumerate(chain):
        assert np.array_equal(levels <= level, regions.mask([region]))
        selected = page.array("click", id=IDS[1], section="clicks_tree", clicks="20,30,1", level=level)
        assert np.array_equal(selected > 0, regions.mask([region]))


def test_a_level_is_of_the_last_wanted_click_and_stops_below_what_is_not_wanted(page: Page, clickable: Path, regions: ClickTree) -> None:
    top = len([*regions.climb(0)]) + 50
    selected = page.array("click", id=IDS[1], section="clicks_tree", clicks=CLICKS, level=top) > 0
    chain = [*regions.climb(int(regions.patches[20, 30]))]
    largest = next(one for one in reversed(chain) if not regions.mask([one])[4, 6])
    expected = tree(clickable).select(regions, [GIVEN[0], GIVEN[2]], start=NOTHING) | regions.mask([largest])
    expected[20, 30] = True
    assert np.array_equal(selected, expected) and not selected[4, 6]


def test_the_mask_is_a_picture_to_keep(page: Page) -> None:
    asked = {"id": IDS[1], "section": "clicks_tree", "clicks": CLICKS, "level": "3"}
    answer = page.client.get("/api/mask", params=asked)
    assert answer.headers["content-disposition"] == 'attachment; filename="mask.png"'
    mask = np.asarray(PillowImage.open(io.BytesIO(answer.content)))
    assert mask.ndim == 2 and set(np.unique(mask)) == {0, 255}
    assert np.array_equal(mask > 0, page.array("click", **asked) > 0)


@pytest.mark.parametrize("clicks", ["24,0,1", "0,36,1", "1,1,2", "1,1", "a,1,1", "1;1", "-1,0,1", "1,1,1,1"])
def test_clicks_that_cannot_be_are_refused(page: Page, clicks: str) -> None:
    said = page.json("click", id=IDS[0], section="clicks_tree", clicks=clicks)["error"]
    assert "expected row,column,1 or 0 within the image" in said


def test_what_has_no_levels_says_so(page: Page) -> None:
    assert "clicks.method: found 'learned'" in page.json("click", id=IDS[0], section="clicks", clicks=CLICKS, level=1)["error"]
    assert "found none that is wanted" in page.json("levels", id=IDS[0], section="clicks_tree", clicks="1,1,0")["error"]
    assert page.json("click", id="nobody", section="clicks_tree", clicks="1,1,1")["error"] == "no image 'nobody'"


def test_trees_that_are_not_there_are_missed(look: Callable[..., Page], finished: Path, clickable: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(clickable, root)
    shutil.rmtree(root / "data" / "trees.zarr")
    page = look(root)
    assert "trees: found no such artifact" in page.json("click", id=IDS[0], section="clicks_tree", clicks=CLICKS)["error"]


# --- The command ---


@pytest.mark.parametrize(
    ("image", "section", "message"),
    [
        ("nobody", "", r"found no image 'nobody'; expected the id of an image"),
        (IDS[0], "trees", r"params.yaml: found 'trees'; expected one of: clicks, clicks_tree"),
    ],
)
def test_what_cannot_be_clicked_on_is_said_before_anything_is_served(
    clickable: Path, monkeypatch: pytest.MonkeyPatch, image: str, section: str, message: str
) -> None:
    monkeypatch.chdir(clickable)
    with pytest.raises(SeedbedError, match=message):
        look_by_clicks(image, section, Path("corrections.jsonl"), host="127.0.0.1", port=0, announce=pytest.fail)


def test_another_pipeline_has_nothing_that_answers_clicks(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    with pytest.raises(SeedbedError, match=r"found no section that answers clicks; .* run this in a pipeline that has one"):
        look_by_clicks(IDS[0], "", Path("corrections.jsonl"), host="127.0.0.1", port=0, announce=pytest.fail)


def test_the_address_names_image_and_section_beside_the_token(clickable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clickable)
    told: list[str] = []
    monkeypatch.setattr(view, "serve", lambda _, *, host, port, announce: announce(f"http://{host}:{port}/?token=x"))
    look_by_clicks(IDS[2], "clicks_tree", Path("corrections.jsonl"), host="0.0.0.0", port=1, announce=told.append)
    assert told == ["http://0.0.0.0:1/?token=x&id=plain+%22one%22&click=clicks_tree"]
