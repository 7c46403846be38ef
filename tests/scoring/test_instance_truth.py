"""True things: read exactly, or refused with what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from seedbed.errors import DataError
from seedbed.images import Images
from seedbed.scoring.instance_truth import ClassTruth, InstanceTruth
from seedbed.scoring.true_things import TrueThings
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact
from seedbed.types import LabelMap
from tests.support import layouts

MASK = np.array([[1, 1, 0, 2], [1, 255, 2, 2], [0, 0, 2, 2]], np.uint8)
NUMBERS = np.array([[4, 4, 0, 9], [4, 4, 9, 255], [0, 0, 0, 3]], np.uint8)
SIZE = (3, 4)


def write(file: Path, pixels: LabelMap) -> None:
    file.parent.mkdir(exist_ok=True)
    PillowImage.fromarray(pixels).save(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "masks" / "a.png", MASK)
    write(tmp_path / "instances" / "a.png", NUMBERS)
    return tmp_path


def of_a(root: Path) -> InstanceTruth:
    """The true things of two images that are not indexed yet."""
    truth = Truth.of("folder", root, {"a": "images/a.jpg", "b": "images/b.jpg"}, [0, 1, 2, *[-1] * 252, 255])
    return InstanceTruth.of(truth, "folder")


def spelled(things: TrueThings | None) -> list[tuple[int, list[list[int]]]]:
    """Class of every thing, and where it is."""
    assert things is not None
    return [(one.label, one.shape.astype(int).tolist()) for one in things.things]


def test_things_are_of_the_class_of_the_mask_beneath(root: Path) -> None:
    """Void are the pixels that either file marks, and those of a class that no thing has."""
    things = of_a(root).original("a", SIZE)
    assert spelled(things) == [
        (2, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]),
        (1, [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]),
        (2, [[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]),
    ]
    assert things is not None and things.void.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert of_a(root).original("b", SIZE) is None and of_a(root).key("b") == ""


def test_a_thing_of_several_classes_is_of_the_most_frequent_one(root: Path) -> None:
    write(root / "instances" / "a.png", np.full(SIZE, 1, np.uint8))
    write(root / "masks" / "a.png", np.array([[1, 1, 1, 2], [2, 2, 2, 255], [0, 0, 0, 255]], np.uint8))
    assert [label for label, _ in spelled(of_a(root).original("a", SIZE))] == [2]


def test_a_thing_in_void_is_none(root: Path) -> None:
    write(root / "masks" / "a.png", np.where(NUMBERS == 9, 255, MASK).astype(np.uint8))
    assert [label for label, _ in spelled(of_a(root).original("a", SIZE))] == [2, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: write(root / "masks" / "a.png", 0 * MASK), "thing 3 on background instead of a class of the mask beneath each thing"),
        (
            lambda root: (root / "masks" / "a.png").unlink(),
            "no mask beside it instead of a mask too, which says of what class each thing is",
        ),
        (lambda root: write(root / "instances" / "a.png", NUMBERS.T.copy()), "an instance mask of (4, 3) instead of (3, 4), as its image"),
        (lambda root: (root / "instances" / "a.png").write_bytes(b""), "no PNG file instead of an instance mask"),
        (lambda root: (root / "instances" / "a.png").unlink(), ""),
    ],
)
def test_what_is_wrong_is_told(root: Path, change: Callable[[Path], object], message: str) -> None:
    assert of_a(root).problem("a", SIZE) == ""
    change(root)
    assert of_a(root).problem("a", SIZE) == (f"{root}/instances/a.png: {message}" if message else "")


def test_files_of_no_image_are_strays_but_for_those_of_a_devkit(root: Path, tmp_path: Path) -> None:
    write(root / "instances" / "c.png", NUMBERS)
    assert of_a(root).strays() == ["instances/c.png"]
    layouts.voc(tmp_path / "voc")
    truth = Truth.of("voc", tmp_path / "voc", {"one": "JPEGImages/one.jpg"}, range(256))
    assert InstanceTruth.of(truth, "voc").strays() == []


def test_what_changes_is_noticed(root: Path, write_dataset: Callable[..., Artifact]) -> None:
    pictures = Images(root, write_dataset(root / "data", sizes={"a": SIZE, "b": SIZE}))
    known = InstanceTruth.of(Truth.of_images(pictures), "folder")
    before, some = known.key("a"), known.only(["a"])
    assert len(spelled(known["a"])) == len(spelled(some["a"])) == 3 and known["b"] is None and some.key("a") == before
    write(root / "instances" / "a.png", 0 * NUMBERS)
    with pytest.raises(DataError, match=r"instances/a\.png: found an instance mask that is changing; expected a file that stays as it is"):
        some["a"]
    now = InstanceTruth.of(Truth.of_images(pictures), "folder")
    assert now.key("a") != before and spelled(now["a"]) == []
    write(root / "masks" / "a.png", 0 * MASK)
    assert InstanceTruth.of(Truth.of_images(pictures), "folder").key("a") != now.key("a"), "by the classes beneath too"


def test_what_nobody_asks_for_has_no_identity(root: Path) -> None:
    assert InstanceTruth.unread(of_a(root).truth).key("a") == ""
    assert InstanceTruth.of(Truth.of("other", root, {"a": "images/a.jpg"}, range(256)), "other").key("a") == ""


def test_of_annotated_things_those_of_no_class_are_void(tmp_path: Path) -> None:
    """Where nothing else is; crowds stay crowds."""
    left, middle, right = (np.zeros((4, 6), np.uint8) for _ in range(3))
    left[:, :3], middle[:, 2:4], right[:, 5:] = 1, 1, 1
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.parent.mkdir()
    kinds = ((1, left, 0), (2, middle, 0), (1, right, 1))
    annotations = [
        {"id": 0, "image_id": 0, "category_id": category, "segmentation": layouts.runs(mask), "area": 1, "iscrowd": crowd}
        for category, mask, crowd in kinds
    ]
    file.write_text(json.dumps({"images": [{"id": 0, "file_name": "a.jpg", "height": 4, "width": 6}], "annotations": annotations}))
    files = {"a": "val2017/a.jpg", "b": "val2017/b.jpg"}
    truth = InstanceTruth.of(Truth.of("coco", tmp_path, files, [0, 1, *[255] * 254]), "coco")
    things = truth.original("a", (4, 6))
    assert things is not None and [(one.label, one.crowd, int(one.shape.sum())) for one in things.things] == [(1, False, 12), (1, True, 4)]
    assert things.void.astype(int).tolist() == [[0, 0, 0, 1, 0, 0]] * 4
    assert truth.original("b", (4, 6)) is None and truth.strays() == [] and truth.key("a") == truth.truth.key("a") != ""


def test_classes_are_things_where_they_are_not_told_apart(root: Path) -> None:
    truth = replace(of_a(root).truth, sizes={"a": (SIZE, SIZE), "b": (SIZE, SIZE)})
    classes = ClassTruth(truth)
    found = classes["a"]
    assert spelled(found) == [(1, [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]), (2, [[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]])]
    assert found is not None and np.array_equal(found.void, MASK == 255)
    assert classes["b"] is None and classes.key("b") == ""
    assert truth.key("a") in classes.key("a") == classes.only(["a"]).key("a") != InstanceTruth(truth, None).key("a")
