"""COCO as it is downloaded, and everything that can be wrong with it, told at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from seedbed.dataset import Index
from seedbed.dataset.coco import Coco
from seedbed.errors import DataError
from tests.support import layouts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two files of two images each."""
    layouts.coco(tmp_path)
    return tmp_path


def read(root: Path, year: Literal[2014, 2017] = 2017) -> Index:
    return Coco(year=year).read(root)


def problems(root: Path) -> str:
    with pytest.raises(DataError) as raised:
        read(root).check(root)
    return raised.value.found


def edit(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = root / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_files_are_splits_and_annotations_are_labels(root: Path) -> None:
    index = read(root)
    found = [(entry.id, entry.file, set(entry.labels or ()), set(entry.splits)) for entry in index.entries]
    assert found == [
        ("one", "train2017/one.jpg", {"cat", "dog"}, {"train"}),
        ("two", "train2017/two.jpg", {"cat", "dog"}, {"train"}),
        ("three", "val2017/three.jpg", {"dog"}, {"val"}),
        ("four", "val2017/four.jpg", set(), {"val"}),
    ]
    assert index.entries[3].labels == frozenset()  # nothing is annotated, which says that there is nothing
    assert index.class_names == ("cat", "dog")
    assert [index.meaning[value] for value in (0, 1, 17, 18, 255)] == [0, -1, 1, 2, 255]


def test_images_may_lie_below_another_folder(root: Path) -> None:
    shutil.move(root / "val2017", root / "images" / "val2017")
    assert [entry.file for entry in read(root).entries][2:] == ["images/val2017/three.jpg", "images/val2017/four.jpg"]


def test_other_years_are_left_alone(root: Path) -> None:
    (root / "annotations" / "instances_val2014.json").write_text("{")
    assert len(read(root).entries) == 4
    with pytest.raises(DataError, match=r"instances_val2014\.json, line 1: it is no JSON, or cut short"):
        read(root, 2014).check(root)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content["annotations"][0].update(image_id=77), "annotation 0 of image 77, which is not listed"),
        (lambda content: content["annotations"][0].update(category_id=77), "annotation 0 of category 77, which is not listed"),
        (lambda content: content["images"][0].update(file_name="five.jpg"), "there is no val2017/five.jpg"),
        (lambda content: content["images"][0].update(file_name="../train2017/one.jpg"), "there is no val2017/../train2017/one.jpg"),
        (lambda content: content["images"].append(content["images"][0]), "image 2 is listed twice"),
        (lambda content: content["categories"][0].update(id=300), "category 'cat' is number 300; 1 to 254 can be read"),
        (lambda content: content["categories"][0].update(name="lion"), "category 17 is 'lion' here and 'cat' in another file"),
        (lambda content: content["categories"][0].update(id=0), "category 'cat' is number 0; 1 to 254 can be read"),
        (lambda content: content["categories"][1].update(name="cat"), "category 18, 'cat', is listed twice"),
        (lambda content: content["categories"][0].update(name="background"), "category 17 is called 'background'"),
        (lambda content: content["images"][0].update(id="2"), "TypeError(\"'2' where a whole number should be\")"),
        (lambda content: content["images"][0].update(file_name=7), "TypeError('7 where a text should be')"),
        (lambda content: content["images"][0].pop("height"), "KeyError('height')"),
        (lambda content: content["annotations"][0].update(image_id=[1]), "TypeError('[1] where a whole number should be')"),
        (lambda content: content["annotations"][0].update(category_id=1.9), "TypeError('1.9 where a whole number should be')"),
        (lambda content: content.pop("images"), "it is not what COCO calls instances: KeyError('images')"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(root: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    edit(root, change)
    found = problems(root)
    assert "annotations/instances_val2017.json: " in found and problem in found


def test_half_a_file(root: Path) -> None:
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text()[:300])
    assert "annotations/instances_train2017.json, line 1: it is no JSON, or cut short" in problems(root)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no annotations; .* unpack the annotations there"):
        read(tmp_path)
    (tmp_path / "annotations").mkdir()
    assert "no instances_*2017.json that names an image" in problems(tmp_path)
