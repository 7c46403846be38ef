"""A folder of one's own: everything that is wrong with its table is said together, line by line."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

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


def read(root: Path, table: str | bytes, *, name: str = "labels.csv", complete: bool = True) -> Index:
    content = table if isinstance(table, bytes) else table.encode()
    (root / name).write_bytes(content)
    return Folder(classes=("cat", "dog", "bird"), complete=complete).read(root)


def refusal(root: Path, table: str | bytes, *, name: str = "labels.csv") -> str:
    with pytest.raises(DataError) as raised:
        read(root, table, name=name).check(root)
    message = str(raised.value)
    assert message.startswith((f"{root}/{name}", f"{root}: found "))
    assert "\n" not in message
    return message


# --- What can be read ---


def test_a_row_is_an_image_with_its_classes_and_splits(root: Path) -> None:
    index = read(root, HEADER + "b.jpg,dog cat,train val\na.png,,val\nsub/a.png,bird,train\n")
    assert index.class_names == ("cat", "dog", "bird")
    assert [entry.id for entry in index.entries] == ["b", "a", "sub/a"]  # in the table's order
    assert [entry.file for entry in index.entries] == ["images/b.jpg", "images/a.png", "images/sub/a.png"]
    assert [entry.labels for entry in index.entries] == [frozenset({"cat", "dog"}), frozenset(), frozenset({"bird"})]
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
    assert [(entry.id, set(entry.labels or ()), set(entry.splits)) for entry in entries] == [
        ("a", {"cat"}, {"train"}),
        ("b", {"dog"}, {"val"}),
    ]


def test_a_quoted_name_may_contain_what_it_likes(root: Path) -> None:
    [entry] = read(root, HEADER + '"c d, e.png",cat,train\n').entries
    assert entry.id == "c d, e"


def test_the_same_name_in_two_folders_is_two_images(root: Path) -> None:
    assert [entry.id for entry in read(root, HEADER + "a.png,cat,train\nsub/a.png,dog,train\n").entries] == ["a", "sub/a"]


def test_classes_may_be_separated_by_commas_or_semicolons(root: Path) -> None:
    entries = read(root, HEADER + 'a.png,"cat, dog",train\nb.jpg,cat;dog,"train,val"\nsub/a.png,cat;,train\n').entries
    assert [entry.labels for entry in entries] == [frozenset({"cat", "dog"})] * 2 + [frozenset({"cat"})]
    assert entries[1].splits == {"train", "val"}


def test_names_of_classes_may_have_spaces(root: Path) -> None:
    (root / "labels.csv").write_text(HEADER + "a.png,traffic light,train\nb.jpg,traffic light;cat,train\nsub/a.png,cat,train\n")
    entries = Folder(classes=("traffic light", "cat"), complete=True).read(root).entries
    assert [entry.labels for entry in entries] == [frozenset({"traffic light"}), frozenset({"traffic light", "cat"}), frozenset({"cat"})]


def test_without_a_column_of_splits_all_images_are_to_learn_from(root: Path) -> None:
    assert [entry.splits for entry in read(root, "image,labels\na.png,cat\nb.jpg,dog\n").entries] == [{"train"}] * 2


def test_an_image_without_labels_is_one_of_which_nobody_knows_unless_labels_are_complete(root: Path) -> None:
    table = HEADER + "a.png,,train\nb.jpg,cat,train\n"
    assert [entry.labels for entry in read(root, table, complete=False).entries] == [None, frozenset({"cat"})]
    assert [entry.labels for entry in read(root, table, complete=True).entries] == [frozenset(), frozenset({"cat"})]


def test_names_in_other_scripts(root: Path) -> None:
    (root / "images" / "köttur 猫.png").touch()
    [entry] = read(root, HEADER + "köttur 猫.png,cat,þjálfun\n").entries
    assert (entry.id, set(entry.splits)) == ("köttur 猫", {"þjálfun"})


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_written_in_either_way(root: Path, on_disk: Literal["NFC", "NFD"], in_table: Literal["NFC", "NFD"]) -> None:
    name = "é.png"
    (root / "images" / unicodedata.normalize(on_disk, name)).touch()
    [entry] = read(root, HEADER + f"{unicodedata.normalize(in_table, name)},cat,train\n").entries
    assert entry.file == f"images/{unicodedata.normalize(on_disk, name)}"


# --- JSON Lines ---

LINES = """{"image": "b.jpg", "labels": ["dog", "cat"], "split": ["train", "val"]}

{"image": "a.png", "labels": "cat"}
{"image": "sub/a.png"}
"""


@pytest.mark.parametrize("text", [LINES.encode(), b"\xef\xbb\xbf" + LINES.encode(), LINES.replace("\n", "\r\n").encode()])
def test_json_lines(root: Path, text: bytes) -> None:
    entries = read(root, text, name="labels.jsonl", complete=False).entries
    assert [(entry.id, entry.labels) for entry in entries] == [("b", frozenset({"cat", "dog"})), ("a", frozenset({"cat"})), ("sub/a", None)]
    assert [entry.splits for entry in entries] == [{"train", "val"}, {"train"}, {"train"}]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"image": "a.png", "labels": ["ca', "line 2: no JSON, or cut short: Unterminated string starting at"),
        ("[1]", "line 2: not an object with image, labels, split"),
        ('{"labels": ["cat"]}', "line 2: not an object with image, labels, split"),
        ('{"image": "a.png", "label": ["cat"]}', "line 2: not an object with image, labels, split"),
        ('{"image": "a.png", "labels": ["caat"]}', "line 2: unknown label 'caat' (nearest: cat)"),
        ('{"image": "a.png", "split": []}', "line 2: no split"),
        ('{"image": "../a.png"}', "line 2: '../a.png' is not a file name below images/"),
        ('{"image": null}', "line 2: something that is neither text nor a list of texts"),
        ('{"image": ""}', "line 2: '' is not a file name below images/"),
        ('{"image": "a.png", "labels": 0}', "line 2: something that is neither text nor a list of texts"),
        ('{"image": "a.png", "labels": [null]}', "line 2: something that is neither text nor a list of texts"),
        ('{"image": "a.png", "split": [""]}', "line 2: '' is no name of a split"),
        ("[" * 100_000, "line 2: no JSON that anybody would write"),
        ('{"image": "b.jpg"}', "line 2: 'b' was listed in line 1 already"),
    ],
)
def test_a_wrong_line_of_json_is_named(root: Path, line: str, problem: str) -> None:
    message = refusal(root, f'{{"image": "b.jpg"}}\n{line}\n', name="labels.jsonl")
    assert problem in message and "found 1 problems: " in message


# --- What cannot ---


def test_no_table(root: Path) -> None:
    with pytest.raises(DataError) as raised:
        Folder(classes=("cat",), complete=True).read(root)
    expected = "found no labels.csv; expected a folder with labels.csv; write it, or labels.jsonl; `seedbed init` makes a start"
    assert str(raised.value) == f"{root}: {expected}"


def test_two_tables(root: Path) -> None:
    (root / "labels.jsonl").touch()
    with pytest.raises(DataError, match=r"found labels.csv and labels.jsonl; expected one of them; remove the other"):
        read(root, HEADER + "a.png,cat,train\n")


@pytest.mark.parametrize("header", ["", "file,labels,split\n", "image|labels|split\n", "image\n", "a.png,cat,train\n"])
def test_another_header(root: Path, header: str) -> None:
    message = refusal(root, header)
    assert message.startswith(f"{root}/labels.csv, line 1: found ")
    assert "expected the header image,labels,split, of which split may be left out; correct that line" in message


def test_a_table_without_a_row(root: Path) -> None:
    assert "found no image; expected at least one line for an image; list your images" in refusal(root, HEADER)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.png,caat,train", "line 2: unknown label 'caat' (nearest: cat)"),
        ("a.png,xyzzy,train", "line 2: unknown label 'xyzzy'; expected"),
        ("z.png,cat,train", "line 2: there is no images/z.png"),
        ("sub,cat,train", "line 2: images/sub is a folder"),
        ("../a.png,cat,train", "line 2: '../a.png' is not a file name below images/"),
        ("sub/../../a.png,cat,train", "line 2: 'sub/../../a.png' is not a file name below images/"),
        ("/etc/hostname,cat,train", "line 2: '/etc/hostname' is not a file name below images/"),
        (",cat,train", "line 2: '' is not a file name below images/"),
        ("a.png,cat,", "line 2: no split"),
        ("a.png,cat", "line 2: no split"),
        ("a.png", "line 2: no split"),
        ("a.png,cat,dog,train", "line 2: more than 3 columns; put classes into quotes, or separate them by spaces"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(root: Path, row: str, problem: str) -> None:
    message = refusal(root, f"{HEADER}{row}\n")
    assert "found 1 problems: " in message
    assert problem in message
    assert "expected existing images once each, with known classes; correct them" in message


@pytest.mark.parametrize("second", ["a.png", "a.jpg"])
def test_an_image_that_is_listed_twice(root: Path, second: str) -> None:
    (root / "images" / "a.jpg").touch()
    message = refusal(root, f"{HEADER}a.png,cat,train\nb.jpg,cat,train\n{second},dog,val\n")
    assert "line 4: 'a' was listed in line 2 already" in message


def test_everything_that_is_wrong_is_said_together(root: Path) -> None:
    message = refusal(root, HEADER + "a.png,caat doog,\nb.jpg,cat,train\nz.png,cat,train\na.png,cat,train\n")
    assert "found 5 problems: " in message
    for problem in (
        "line 2: no split; ",
        "line 2: unknown label 'caat' (nearest: cat); ",
        "line 2: unknown label 'doog' (nearest: dog); ",
        "line 4: there is no images/z.png; ",
        "line 5: 'a' was listed in line 2 already; ",
    ):
        assert f"labels.csv, {problem}" in message
    assert "line 3" not in message


def test_of_very_many_problems_the_first_are_named_and_the_rest_counted(root: Path) -> None:
    message = refusal(root, HEADER + "".join(f"{number}.png,cat,train\n" for number in range(30)))
    assert "found 30 problems" in message and "there is no images/19.png; and 10 more; expected" in message


def test_a_quote_that_is_not_closed_swallows_nothing(root: Path) -> None:
    message = refusal(root, HEADER + 'a.png,cat,"train\nb.jpg,dog,train\nsub/a.png,cat,val\n')
    assert "labels.csv, line 2: no CSV: unexpected end of data" in message
    message = refusal(root, HEADER + '"a.png","cat\ndog",train\nz.png,cat,train\n')
    assert "labels.csv, line 2: a line break within a cell: is a quote missing?; labels.csv, line 4: there is no images/z.png" in message


def test_what_spreadsheets_add(root: Path) -> None:
    table = "Image;Labels;Split\r\na.png;cat, dog;train\r\n;;\r\nb.jpg;dog;val\r\n;;\r\n"
    assert [(entry.id, entry.labels) for entry in read(root, table).entries] == [
        ("a", frozenset({"cat", "dog"})),
        ("b", frozenset({"dog"})),
    ]


def test_a_name_that_no_file_can_have(root: Path) -> None:
    assert "line 2: there is no images/xxx" in refusal(root, HEADER + f"{'x' * 5000},cat,train\n")


@pytest.mark.parametrize("split", ["a/b", "a=b", "<x>"])
def test_a_name_that_no_split_can_have(root: Path, split: str) -> None:
    assert f"line 2: {split!r} is no name of a split" in refusal(root, f"{HEADER}a.png,cat,{split}\n")


def test_a_table_that_is_not_utf8(root: Path) -> None:
    assert "UTF-8" in refusal(root, HEADER.encode() + "b.jpg,café,train\n".encode("cp1252"))
