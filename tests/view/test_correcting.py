"""What the page keeps of selections: a line for each image, in a file that seeds can read."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from rich.console import Console

from seedbed.corrections import Corrected, Corrections, Thing, count_runs, draw_runs, read_lines, write_lines
from seedbed.errors import MachineError, SeedbedError
from seedbed.store.artifact import open_artifact
from seedbed.tools.replay import describe, replay
from seedbed.view.clicking import Clicking
from tests.view.conftest import IDS, SIZE, Page, make_labels

CLICKS = [[3, 4, 1], [20, 30, 0]]
ONE: dict[str, Any] = {"label": "cat", "by": "clicks_tree", "start": "", "clicks": CLICKS, "level": None}
OTHER: dict[str, Any] = {"label": "<b>dog</b>", "by": "clicks_tree", "start": "", "clicks": [[12, 20, 1]], "level": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "corrections.jsonl"


@pytest.fixture
def page(look: Callable[..., Page], clickable: Path, file: Path) -> Page:
    return look(clickable, corrections=file)


def keep(page: Page, *things: dict[str, Any] | int, image: str = IDS[1], complete: bool = False, seen: str = "") -> Any:
    """Have the line of an image written.

    things: new ones, and places of those that it has.
    """
    seen = seen or page.json("corrections", id=image).get("seen", "")
    return page.client.post("/api/correct", json={"image": image, "seen": seen, "complete": complete, "things": things}).json()


def test_what_is_kept_is_what_was_selected_and_is_described(page: Page, file: Path, clickable: Path) -> None:
    assert page.json("run")["correcting"] is True
    nothing = page.json("corrections", id=IDS[1])
    assert nothing.pop("seen") and nothing.pop("size") == [*SIZE]
    assert nothing == {"image": IDS[1], "complete": False, "things": [], "file": str(file), "labels": ["cat", "<b>dog</b>", "background"]}
    said = keep(page, ONE, OTHER, complete=True)
    assert said == page.json("corrections", id=IDS[1]) and said["complete"] is True
    for kept, asked in zip(said["things"], (ONE, OTHER), strict=True):
        clicks = ";".join(",".join(map(str, one)) for one in asked["clicks"])
        level = {} if asked["level"] is None else {"level": asked["level"]}
        selected = page.array("click", id=IDS[1], section="clicks_tree", clicks=clicks, **level)
        assert np.array_equal(draw_runs(kept["runs"], SIZE), selected > 0) and selected.any()
        assert {name: kept[name] for name in asked} == asked
    labels = Corrections.of(read_lines(file), open_artifact("dataset", folder=clickable / "data"), where="").correct(
        IDS[1], np.zeros(SIZE, np.uint8)
    )
    assert set(np.unique(labels)) >= {1, 2}


def test_what_labels_have_is_kept_with_or_without_clicks(look: Callable[..., Page], correcting: Path, file: Path) -> None:
    page = look(correcting, corrections=file)
    as_labelled, corrected = keep(page, {**OTHER, "start": "<b>dog</b>", "clicks": []}, {**OTHER, "start": "<b>dog</b>"})["things"]
    assert np.array_equal(draw_runs(as_labelled["runs"], SIZE), make_labels(1) == 2)
    assert corrected["start"] == "<b>dog</b>" and corrected["runs"] != as_labelled["runs"]


def test_each_image_has_a_line_of_its_own_which_goes_when_it_says_nothing(page: Page, file: Path) -> None:
    keep(page, ONE)
    keep(page, ONE, image=IDS[0])
    assert set(read_lines(file)) == {IDS[0], IDS[1]}
    keep(page, OTHER, 0)
    assert [one.label for one in read_lines(file)[IDS[1]].things] == ["<b>dog</b>", "cat"]
    keep(page)
    assert set(read_lines(file)) == {IDS[0]}
    keep(page, complete=True)
    assert read_lines(file)[IDS[1]].complete


def test_a_thing_stays_as_it_was_seen_though_its_clicks_are_answered_otherwise_now(
    look: Callable[..., Page], clickable: Path, file: Path
) -> None:
    root = file.parent / "run"
    shutil.copytree(clickable, root)
    page = look(root, corrections=file)
    [seen] = keep(page, ONE)["things"]
    params = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text(params.replace("cost: 0.03", "cost: 0"), encoding="utf-8")
    page = look(root, corrections=file)
    assert keep(page, 0, OTHER)["things"][0]["runs"] == seen["runs"]
    keep(page)
    assert keep(page, ONE)["things"][0]["runs"] != seen["runs"], "with this cost, a click takes a patch"


def test_lines_that_are_kept_at_the_same_time_are_all_there(page: Page, file: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda image: keep(page, ONE, image=image), IDS[:2]))
    assert set(read_lines(file)) == set(IDS[:2])


def test_a_page_without_a_file_keeps_nothing(look: Callable[..., Page], clickable: Path) -> None:
    page = look(clickable)
    assert page.json("run")["correcting"] is False
    assert "corrections: found no file to keep them in" in keep(page, ONE)["error"]
    assert "corrections: found no file to keep them in" in page.json("corrections", id=IDS[1])["error"]


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ({**ONE, "label": "horse"}, "found 'horse'; expected one of its labels: cat, <b>dog</b>, background"),
        ({**ONE, "clicks": []}, "clicks: found no pixel that they select; expected some"),
        ({**ONE, "clicks": [[3, 4, 0]]}, "clicks: found no pixel that they select; expected some"),
        (0, "correction: found a line that has changed meanwhile"),
        ({**ONE, "clicks": [[24, 0, 1]]}, "clicks: found [(24, 0)]; expected some within the image"),
        ({**ONE, "clicks": [[0, 0, 2]]}, "correction: found Input should be"),
        ({**ONE, "by": "seeds"}, "section: found 'seeds'"),
        ({**ONE, "runs": [864]}, "correction: found "),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_written(page: Page, file: Path, thing: dict[str, Any] | int, said: str) -> None:
    assert said in keep(page, thing)["error"] and not file.exists()
    assert keep(page, ONE, image="nobody")["error"] == "no image 'nobody'" and not file.exists()


def test_only_json_is_taken_and_not_too_much_of_it(page: Page, file: Path) -> None:
    answer = page.client.post("/api/correct", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415, "as a form of a page elsewhere could send it"
    assert page.client.post("/api/correct", content=b" " * 2**21, headers={"content-type": "application/json"}).status_code == 413
    assert page.client.get("/api/correct").status_code == 405
    assert not file.exists()


def test_a_file_that_cannot_be_read_is_told_of_and_stays(page: Page, file: Path) -> None:
    file.write_text("no line\n", encoding="utf-8")
    assert "line 1: found Invalid JSON" in keep(page, ONE)["error"]
    assert file.read_text(encoding="utf-8") == "no line\n"


def test_a_line_that_has_changed_meanwhile_is_not_written_over(page: Page, file: Path) -> None:
    shown = page.json("corrections", id=IDS[1])["seen"]
    keep(page, OTHER)
    assert "found a line that has changed meanwhile" in keep(page, ONE, seen=shown)["error"]
    assert [one.label for one in read_lines(file)[IDS[1]].things] == ["<b>dog</b>"]


def test_a_line_that_does_not_fit_is_told_of_and_not_made_worse(page: Page, file: Path) -> None:
    line = {"image": IDS[1], "size": [2, 3], "complete": False, "things": []}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert "found 2 x 3 pixels; expected 24 x 36" in page.json("corrections", id=IDS[1])["error"]
    assert keep(page, complete=True, seen="anything")["error"] and json.loads(file.read_text(encoding="utf-8")) == line
    assert page.json("corrections", id=IDS[0])["things"] == []


def test_an_image_without_labels_is_not_corrected(page: Page, file: Path) -> None:
    assert "found no such image with labels" in page.json("corrections", id=IDS[2])["error"]
    assert keep(page, ONE, image=IDS[2], seen="anything")["error"] and not file.exists()


def test_what_the_disk_refuses_is_said(page: Page, file: Path) -> None:
    with mock.patch("seedbed.view.correcting.write_lines", side_effect=OSError(errno.ENOSPC, "No space left on device", str(file))):
        assert "found a full disk" in keep(page, ONE)["error"]


def test_clicks_are_answered_once_more_by_what_the_cache_has_now(
    look: Callable[..., Page], correcting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    shutil.copytree(correcting, root)
    page = look(root, corrections=root / "corrections.jsonl")
    labelled = {**OTHER, "start": "<b>dog</b>", "clicks": []}
    keep(page, ONE, OTHER, labelled)
    keep(page, ONE, image=IDS[0], complete=True)
    file = Path("corrections.jsonl")
    with contextlib.chdir(root):
        first = read_lines(file)
        drawn = Thing(label="cat", by="hand", start="", clicks=[], level=None, runs=first[IDS[0]].things[0].runs[::-1])
        write_lines(file, [replace(line, things=[*line.things, drawn]) for line in first.values()])
        before = file.read_bytes()
        found = replay(file, write=True)
        assert [(one.image, one.fit) for one in found] == [(IDS[0], 1)] * 2 + [(IDS[1], 1)] * 4 and file.read_bytes() == before
        Console().print(describe(found, file, write=True))
        assert capsys.readouterr().out == "Things that are as they were kept: 6 of 6.\n"
        mask = draw_runs(first[IDS[1]].things[0].runs, SIZE)
        emptied = replace(first[IDS[1]].things[0], runs=count_runs(mask & (np.cumsum(mask).reshape(SIZE) <= mask.sum() // 2)))
        lines = read_lines(file)
        write_lines(file, [lines[IDS[0]], replace(lines[IDS[1]], things=[emptied, *lines[IDS[1]].things[1:]])])
        changed = file.read_bytes()
        found = replay(file, write=False)
        assert [one.fit for one in found if one.now != one.kept] == [mask.sum() // 2 / mask.sum()] and file.read_bytes() == changed
        Console(width=140).print(describe(found, file, write=False))
        said = capsys.readouterr().out
        assert said.splitlines()[3].split("│")[1:4] == [f" {IDS[1]} ", " cat   ", " clicks_tree "], said
        assert "Things that are as they were kept: 5 of 6; `--write` lets the file say what the others select now." in said
        replay(file, write=True)
        assert file.read_bytes() == before, "with the other clicks, and with what was said of the whole image"


ASKED = Thing(label="cat", by="clicks_tree", start="", clicks=[(0, 0, 1)], level=None, runs=[SIZE[0] * SIZE[1]])


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (replace(ASKED, clicks=[(24, 0, 1)]), r"clicks: found \[\(24, 0\)\]; expected some within the image"),
        (replace(ASKED, by="seeds"), "section: found 'seeds'; expected one of: clicks"),
        (replace(ASKED, label="cow"), "found 'cow'; expected one of its labels"),
    ],
)
def test_clicks_that_nothing_can_answer_are_refused(clickable: Path, tmp_path: Path, thing: Thing, said: str) -> None:
    file = tmp_path / "corrections.jsonl"
    write_lines(file, [Corrected(image=IDS[1], size=SIZE, complete=False, things=[thing])])
    before = file.read_bytes()
    with contextlib.chdir(clickable), pytest.raises(SeedbedError, match=said):
        replay(file, write=True)
    assert file.read_bytes() == before


def test_what_is_kept_meanwhile_is_not_lost(clickable: Path, tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    line = Corrected(image=IDS[1], size=SIZE, complete=False, things=[ASKED])
    write_lines(file, [line])
    select = Clicking.select

    def keep_more(*asked: Any, **how: Any) -> Any:
        write_lines(file, [replace(line, complete=True)])
        return select(*asked, **how)

    with contextlib.chdir(clickable), mock.patch.object(Clicking, "select", keep_more):
        with pytest.raises(MachineError, match="found other corrections than there were before; expected the same; run it again"):
            replay(file, write=True)
        assert read_lines(file)[IDS[1]].complete
        replay(file, write=True)
    assert read_lines(file)[IDS[1]].complete and read_lines(file)[IDS[1]].things != [ASKED]


def test_a_file_that_is_not_there_is_not_replayed(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="found no such file; expected one of corrections"):
        replay(tmp_path / "corrections.jsonl", write=True)
