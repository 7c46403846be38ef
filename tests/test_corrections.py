"""What a person has selected in images, as a file that seeds read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from seedbed.corrections import Corrected, Corrections, Thing, count_runs, draw_runs, read_lines, write_lines
from seedbed.errors import DataError
from seedbed.store.artifact import Artifact
from tests.support.publishing import published

SIZE = (2, 3)
CAT, DOG, NOBODY = 1, 2, 255
LABELS = np.array([[CAT, CAT, 0], [DOG, NOBODY, 0]], np.uint8)
THING = {"label": "cat", "by": "clicks", "start": "", "clicks": [], "level": None, "runs": [6]}
LEFT = np.array([[1, 0, 0], [1, 0, 0]], bool)


@pytest.fixture
def data(tmp_path: Path) -> Artifact:
    """Three images: with a cat and a dog, with a dog, and one of which nobody knows what it shows."""
    row: dict[str, Any] = {"size": SIZE, "original_size": SIZE, "image_digest": "", "splits": [True], "problem": "", "mask_problem": ""}
    shown = {"a/1": [True, True, True], "猫": [True, False, True], "unknown": [True, False, False]}
    rows = [{**row, "ids": name, "file": f"{name}.png", "labels": one, "labelled": name != "unknown"} for name, one in shown.items()]
    whole = {"split_names": ["train"], "class_names": ["background", "cat", "dog"], "max_size": SIZE, "mask_meaning": [0] * 256}
    return published("dataset", tmp_path, rows, whole=whole, extents={"class": 3, "split": 1, "value": 256})


def corrected(image: str = "a/1", *things: tuple[str, np.ndarray[Any, Any]], complete: bool = False) -> Corrected:
    """The line of an image."""
    made = [Thing(label=label, by="clicks", start="", clicks=[(0, 0, 1)], level=None, runs=count_runs(mask)) for label, mask in things]
    return Corrected(image=image, size=SIZE, complete=complete, things=made)


def corrections(tmp_path: Path, data: Artifact, *lines: Corrected) -> Corrections:
    """Those of a file with some lines."""
    file = tmp_path / "corrections.jsonl"
    write_lines(file, lines)
    return Corrections.of(read_lines(file), data, where=str(file))


@pytest.mark.parametrize(
    ("mask", "runs"),
    [
        ([[0, 1, 1], [1, 0, 0]], [1, 3, 2]),
        ([[1, 0, 0], [0, 0, 1]], [0, 1, 4, 1]),
        ([[0, 0, 0], [0, 0, 0]], [6]),
        ([[1, 1, 1], [1, 1, 1]], [0, 6]),
    ],
)
def test_runs_are_counted_row_by_row_and_drawn_again(mask: list[list[int]], runs: list[int]) -> None:
    assert count_runs(np.array(mask, bool)) == runs
    assert draw_runs(runs, SIZE).tolist() == np.array(mask, bool).tolist()


def test_what_is_written_is_read_again_and_images_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    lines = [corrected("猫", ("dog", LEFT), complete=True), corrected("a/1", ("cat", LEFT), ("background", ~LEFT))]
    write_lines(tmp_path / "file", lines)
    assert read_lines(tmp_path / "file") == {one.image: one for one in lines}
    text = (tmp_path / "file").read_text(encoding="utf-8")
    assert [json.loads(one)["image"] for one in text.splitlines()] == ["a/1", "猫"] and "猫" in text
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_what_was_selected_is_of_its_class_and_elsewhere_nothing_is_sure_of_that(tmp_path: Path, data: Artifact) -> None:
    made = corrections(tmp_path, data, corrected("a/1", ("cat", LEFT)))
    assert made.correct("a/1", LABELS).tolist() == [[CAT, NOBODY, 0], [CAT, NOBODY, 0]]
    assert made.correct("猫", LABELS) is LABELS
    assert "a/1" in made and "猫" not in made


def test_the_rest_of_a_complete_image_is_background_and_later_things_lie_above(tmp_path: Path, data: Artifact) -> None:
    made = corrections(tmp_path, data, corrected("a/1", ("cat", np.ones(SIZE, bool)), ("dog", LEFT), complete=True))
    assert made.correct("a/1", LABELS).tolist() == [[DOG, CAT, CAT], [DOG, CAT, CAT]]
    made = corrections(tmp_path, data, corrected("a/1", ("dog", LEFT), complete=True))
    assert made.correct("a/1", LABELS).tolist() == [[DOG, 0, 0], [DOG, 0, 0]]
    assert LABELS.tolist() == [[CAT, CAT, 0], [DOG, NOBODY, 0]], "what was given stays as it was"


def test_background_can_be_selected_and_other_background_stays(tmp_path: Path, data: Artifact) -> None:
    made = corrections(tmp_path, data, corrected("a/1", ("background", LEFT)))
    assert made.correct("a/1", LABELS).tolist() == [[0, CAT, 0], [0, NOBODY, 0]]


def test_each_image_has_an_identity_of_its_own_which_clicks_are_no_part_of(tmp_path: Path, data: Artifact) -> None:
    first = corrections(tmp_path, data, corrected("a/1", ("cat", LEFT)))
    assert first.key("猫") == "" == Corrections.none().key("a/1")
    keys = {
        corrections(tmp_path, data, one).key("a/1")
        for one in (
            corrected("a/1", ("cat", LEFT)),
            corrected("a/1", ("dog", LEFT)),
            corrected("a/1", ("cat", ~LEFT)),
            corrected("a/1", ("cat", LEFT), complete=True),
        )
    }
    assert len(keys) == 4 and first.key("a/1") in keys
    line = corrected("a/1", ("cat", LEFT))
    moved = Thing(label="cat", by="clicks_tree", start="", clicks=[(1, 1, 0)], level=2, runs=line.things[0].runs)
    assert corrections(tmp_path, data, Corrected(image="a/1", size=SIZE, complete=False, things=[moved])).key("a/1") == first.key("a/1")
    assert first.only(["猫"]).key("a/1") == "" and first.only(["a/1"]).key("a/1") == first.key("a/1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": [2]}, "line 1: found size.1: Field required"),
        ({"complete": 1}, "found complete: Input should be a valid boolean"),
        ({"who": "me"}, "found who: Unexpected keyword argument"),
        ({"things": [{**THING, "clicks": [[0, 0, 2]]}]}, "found things.0.clicks.0.2: Input should be less than or equal to 1"),
    ],
)
def test_a_line_that_is_no_correction_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    file = tmp_path / "corrections.jsonl"
    file.write_text(json.dumps({"image": "a/1", "size": SIZE, "complete": False, "things": [], **change}), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_lines(file)
    assert said in str(caught.value)


def test_a_line_that_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: found Invalid JSON"):
        read_lines(file)


def test_other_line_ends_and_an_empty_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    odd = "a\u2028b\u0085c"
    write_lines(file, [corrected(odd), corrected("z")])
    assert set(read_lines(file)) == {odd, "z"}
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert set(read_lines(file)) == {odd, "z"}
    file.write_text("")
    assert read_lines(file) == {}


def test_a_link_stays_one_and_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    file, link = tmp_path / "kept" / "file", tmp_path / "link"
    file.parent.mkdir()
    link.symlink_to(file)
    write_lines(link, [corrected()])
    assert link.is_symlink() and set(read_lines(file)) == {"a/1"}
    with mock.patch.object(Path, "replace", side_effect=PermissionError), pytest.raises(PermissionError):
        write_lines(link, [corrected("z")])
    assert [one.name for one in file.parent.iterdir()] == ["file"] and set(read_lines(file)) == {"a/1"}


def test_an_image_with_two_lines_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    write_lines(file, [corrected(), corrected()])
    with pytest.raises(DataError, match="line 2: found a second line of 'a/1'; expected one for each image"):
        read_lines(file)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (corrected("b"), "'b': found no such image with labels"),
        (corrected("unknown"), "'unknown': found no such image with labels"),
        (Corrected(image="a/1", size=(3, 2), complete=True, things=[]), "found 3 x 2 pixels; expected 2 x 3, as the data set has it"),
        (corrected("猫", ("cat", LEFT)), "found 'cat'; expected one of its labels: dog, background"),
        (corrected("a/1", ("cat", LEFT[:1])), "found runs of 3 pixels; expected 6, as the image has"),
    ],
)
def test_what_does_not_fit_the_data_set_is_refused(tmp_path: Path, data: Artifact, line: Corrected, said: str) -> None:
    with pytest.raises(DataError) as caught:
        corrections(tmp_path, data, line)
    assert said in str(caught.value)
