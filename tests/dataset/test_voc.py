"""The devkit of PASCAL VOC as it is downloaded, and everything that can be wrong with it, told at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedbed.dataset import Index
from seedbed.dataset.voc import NAMES, Voc
from seedbed.errors import DataError
from tests.support import layouts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A devkit of four images."""
    layouts.voc(tmp_path)
    return tmp_path


def read(root: Path, *, difficult: bool = True, lists: str = "ImageSets/Segmentation") -> Index:
    return Voc(lists=lists, difficult=difficult).read(root)


def problems(root: Path) -> str:
    with pytest.raises(DataError) as raised:
        read(root).check(root)
    assert str(raised.value).startswith(f"{root}: found ")
    return raised.value.found


def test_lists_are_splits_and_labels_come_from_annotations(root: Path) -> None:
    index = read(root)
    found = {entry.id: (entry.file, entry.labels, entry.splits) for entry in index.entries}
    assert found == {
        "one": ("JPEGImages/one.jpg", frozenset({"cat"}), frozenset({"train", "train_aug"})),
        "two": ("JPEGImages/two.jpg", frozenset({"cat", "dog"}), frozenset({"train_aug"})),
        "three": ("JPEGImages/three.jpg", frozenset({"dog"}), frozenset({"val"})),
        "four": ("JPEGImages/four.jpg", None, frozenset({"val"})),
    }
    assert index.class_names == NAMES and len(NAMES) == 20
    assert [index.meaning[value] for value in (0, 1, 20, 21, 254, 255)] == [0, 1, 20, -1, -1, 255]


def test_what_is_difficult_may_count_or_not(root: Path) -> None:
    file = root / "Annotations" / "one.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>1"))
    assert read(root).entries[0].labels == frozenset({"cat"})
    assert read(root, difficult=False).entries[0].labels == frozenset()


def test_lists_of_the_augmented_set_may_name_two_files(root: Path) -> None:
    other = root / "lists"
    other.mkdir()
    (other / "train_aug.txt").write_bytes(b"/JPEGImages/one.jpg /SegmentationClassAug/one.png\r\n/JPEGImages/two.jpg /x.png\r\n")
    assert [entry.id for entry in read(root, lists="lists").entries] == ["one", "two"]


def test_everything_that_is_wrong_is_told_together(root: Path) -> None:
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("one\n\nfive\none\n../one\n")
    (lists / "val.txt").write_bytes("þrír\n".encode("cp1252"))
    (root / "Annotations" / "one.xml").write_text("<annotation><object><name>cta</name></object></annotation>")
    (root / "Annotations" / "two.xml").write_text("<annotation><object><name>cat</na")
    found = problems(root)
    assert found.startswith("6 problems: ")
    for problem in (
        "ImageSets/Segmentation/train.txt, line 3: there is no JPEGImages/five.jpg",
        "ImageSets/Segmentation/train.txt, line 4: 'one' is listed twice",
        "ImageSets/Segmentation/train.txt, line 5: there is no JPEGImages/../one.jpg",
        "ImageSets/Segmentation/val.txt: bytes that are not UTF-8",
        "Annotations/one.xml: unknown class 'cta' (nearest: cat)",
        "Annotations/two.xml: it cannot be read: ",
    ):
        assert problem in found


def test_a_bomb_of_entities_is_refused(root: Path) -> None:
    entities = "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><annotation><object><name>&a11;</name></object></annotation>'
    (root / "Annotations" / "one.xml").write_text(bomb)
    assert "Annotations/one.xml: it cannot be read: " in problems(root)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<html><body>404</body></html>", "it holds <html>, not <annotation>"),
        (b'<?xml version="1.0" encoding="gbk"?><annotation/>', "multi-byte encodings are not supported"),
        (b'<?xml version="1.0" encoding="nothing"?><annotation/>', "unknown encoding: nothing"),
        (b"", "no element found"),
    ],
)
def test_what_is_no_annotation(root: Path, content: bytes, found: str) -> None:
    (root / "Annotations" / "one.xml").write_bytes(content)
    assert f"Annotations/one.xml: it cannot be read: {found}" in problems(root)


def test_the_folder_above_is_not_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no JPEGImages; .* let dataset.root be the folder VOC2012 of the devkit"):
        read(root.parent)


def test_a_folder_without_lists(root: Path) -> None:
    with pytest.raises(DataError, match="elsewhere: no list that names an image"):
        read(root, lists="elsewhere").check(root)


def test_a_real_part_of_voc() -> None:
    kit = os.environ.get("SEEDBED_KIT")
    if not kit:
        pytest.skip("SEEDBED_KIT names no folder with a part of VOC")
    index = read(Path(kit) / "VOCdevkit" / "VOC2012")
    assert {split: sum(split in entry.splits for entry in index.entries) for split in ("train", "val")} == {"train": 437, "val": 223}
    assert all(entry.labels for entry in index.entries)
