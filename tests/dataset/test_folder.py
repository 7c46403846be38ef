"""A folder of one's own: everything that is wrong with its table is said together, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedbed.dataset import Index
from seedbed.dataset.folder import Folder
from seedbed.errors import DataError

HEADER = "image,labels,split\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with four images and no table yet; images are not opened by the reader."""
    for name in ("a.png", "b.jpg", "c d, e.png", "sub/a.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    return tmp_path


def read(root: Path, table: str | bytes) -> Index:
    content = table if isinstance(table, bytes) else table.encode()
    (root / "labels.csv").write_bytes(content)
    return Folder(classes=("cat", "dog", "bird")).read(root)


def refusal(root: Path, table: str | bytes) -> str:
    with pytest.raises(DataError) as raised:
        read(root, table)
    message = str(raised.value)
    assert message.startswith(f"{root}/labels.csv")
    assert "\n" not in message
    return message


# --- What can be read ---


def test_a_row_is_an_image_with_its_classes_and_splits(root: Path) -> None:
    index = read(root, HEADER + "b.jpg,dog cat,train val\na.png,,val\nsub/a.png,bird,train\n")
    assert index.class_names == ("cat", "dog", "bird")
    assert [entry.id for entry in index.entries] == ["b", "a", "sub/a"]  # in the table's order
    assert [entry.file for entry in index.entries] == ["images/b.jpg", "images/a.png", "images/sub/a.png"]
    assert [entry.labels for entry in index.entries] == [{"cat", "dog"}, set(), {"bird"}]
    assert [entry.splits for entry in index.entries] == [{"train", "val"}, {"val"}, {"train"}]
    assert index.split_names == ["train", "val"]
    assert index.labels(index.entries[0]).tolist() == [True, True, True, False]
    assert index.splits(index.entries[2]).tolist() == [True, False]


@pytest.mark.parametrize(
    "table",
    [
        b"\xef\xbb\xbfimage,labels,split\na.png,cat,train\nb.jpg,dog,val\n",  # as Excel marks UTF-8
        b"image,labels,split\r\na.png,cat,train\r\nb.jpg,dog,val\r\n",
        b'"image","labels","split"\n"a.png","cat","train"\n"b.jpg",dog,val\n',
        b"image,labels,split\na.png, cat ,train \nb.jpg,dog,val",
        b"image,labels,split\na.png,cat,train\n\nb.jpg,dog,val\n",
        b"image, labels, split\na.png,cat,train\nb.jpg,dog,val\n",
    ],
)
def test_the_many_ways_to_write_a_table_are_one(root: Path, table: bytes) -> None:
    entries = read(root, table).entries
    assert [(entry.id, set(entry.labels), set(entry.splits)) for entry in entries] == [("a", {"cat"}, {"train"}), ("b", {"dog"}, {"val"})]


def test_a_quoted_name_may_contain_what_it_likes(root: Path) -> None:
    [entry] = read(root, HEADER + '"c d, e.png",cat,train\n').entries
    assert entry.id == "c d, e"


def test_the_same_name_in_two_folders_is_two_images(root: Path) -> None:
    assert [entry.id for entry in read(root, HEADER + "a.png,cat,train\nsub/a.png,dog,train\n").entries] == ["a", "sub/a"]


def test_every_class_has_a_colour_of_its_own(root: Path) -> None:
    palette = read(root, HEADER + "a.png,cat,train\n").palette
    assert len(set(palette)) == 3 and all(0 <= one <= 255 for colour in palette for one in colour)


# --- What cannot ---


def test_no_table(root: Path) -> None:
    with pytest.raises(DataError) as raised:
        Folder(classes=("cat",)).read(root)
    expected = "found no such file; expected a CSV file with the columns image,labels,split; write it, see README"
    assert str(raised.value) == f"{root}/labels.csv: {expected}"


@pytest.mark.parametrize("header", ["", "file,labels,split\n", "image;labels;split\n", "image,labels\n", "a.png,cat,train\n"])
def test_another_header(root: Path, header: str) -> None:
    message = refusal(root, header)
    assert message.startswith(f"{root}/labels.csv, line 1: found ")
    assert "expected the header image,labels,split; correct that line" in message


def test_a_table_without_a_row(root: Path) -> None:
    assert "found no image; expected at least one line below the header; list your images" in refusal(root, HEADER)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.png,caat,train", "line 2: unknown label 'caat' (nearest: cat)"),
        ("a.png,xyzzy,train", "line 2: unknown label 'xyzzy'; expected"),
        ("z.png,cat,train", "line 2: there is no images/z.png"),
        ("sub,cat,train", "line 2: there is no images/sub"),
        ("../a.png,cat,train", "line 2: '../a.png' is not a file name below images/"),
        ("sub/../../a.png,cat,train", "line 2: 'sub/../../a.png' is not a file name below images/"),
        ("/etc/hostname,cat,train", "line 2: '/etc/hostname' is not a file name below images/"),
        (",cat,train", "line 2: '' is not a file name below images/"),
        ("a.png,cat,", "line 2: no split"),
        ("a.png,cat", "line 2: no split"),
        ("a.png", "line 2: no split"),
        ("a.png,cat,dog,train", "line 2: "),  # classes with commas between them instead of spaces
    ],
)
def test_a_wrong_row_is_named_with_its_line(root: Path, row: str, problem: str) -> None:
    message = refusal(root, f"{HEADER}{row}\n")
    assert "found 1 wrong entries: " in message
    assert problem in message
    assert "expected existing images once each, with labels among: cat, dog, bird; correct these lines" in message


@pytest.mark.parametrize("second", ["a.png", "a.jpg"])
def test_an_image_that_is_listed_twice(root: Path, second: str) -> None:
    (root / "images" / "a.jpg").touch()
    message = refusal(root, f"{HEADER}a.png,cat,train\nb.jpg,cat,train\n{second},dog,val\n")
    assert "line 4: 'a' was listed in line 2 already" in message


def test_everything_that_is_wrong_is_said_together(root: Path) -> None:
    message = refusal(root, HEADER + "a.png,caat doog,\nb.jpg,cat,train\nz.png,cat,train\na.png,cat,train\n")
    assert "found 5 wrong entries: " in message
    assert "line 2: unknown label 'caat' (nearest: cat); line 2: unknown label 'doog' (nearest: dog); line 2: no split; " in message
    assert "line 4: there is no images/z.png; line 5: 'a' was listed in line 2 already" in message
    assert "line 3" not in message


def test_of_very_many_problems_the_first_are_named_and_the_rest_counted(root: Path) -> None:
    message = refusal(root, HEADER + "".join(f"{number}.png,cat,train\n" for number in range(30)))
    assert "found 30 wrong entries" in message and "there is no images/19.png; and 10 more; expected" in message


def test_line_numbers_are_those_of_the_file_though_fields_span_lines(root: Path) -> None:
    message = refusal(root, HEADER + '"a.png","cat\ndog",train\nz.png,cat,train\n')
    assert "line 4: there is no images/z.png" in message


def test_a_table_that_is_not_utf8(root: Path) -> None:
    assert "UTF-8" in refusal(root, HEADER.encode() + "b.jpg,café,train\n".encode("cp1252"))
