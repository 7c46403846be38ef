"""Whatever lies in the place of a file that a reader opens, or of an image or a mask: it is named, and nothing waits or breaks off."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedbed import dataset
from seedbed.dataset.coco import Coco
from seedbed.dataset.folder import Folder
from seedbed.dataset.shapes import Shapes
from seedbed.dataset.voc import Voc
from seedbed.errors import DataError
from seedbed.images import RawFiles
from seedbed.scoring.truth import Truth
from seedbed.store.raw import MOST_BYTES
from tests.support import layouts

READERS: dict[str, dataset.Method] = {
    "folder": Folder(classes=("cat", "dog"), complete=True),
    "voc": Voc(lists="ImageSets/Segmentation", difficult=True),
    "coco": Coco(year=2017),
    "shapes": Shapes(num_train=2, num_val=1, seed=0, min_side=64, max_side=65),
}
LISTS = {  # what a reader opens
    "labels.csv": "folder",
    "labels.jsonl": "folder",
    "ImageSets/Segmentation/train.txt": "voc",
    "Annotations/one.xml": "voc",
    "annotations/instances_train2017.json": "coco",
}
PICTURES = {  # what is opened of what it lists
    "images/one.png": "folder",
    "masks/one.png": "folder",
    "JPEGImages/one.jpg": "voc",
    "SegmentationClass/one.png": "voc",
    "SegmentationClassAug/two.png": "voc",
    "train2017/one.jpg": "coco",
}


def make_large(path: Path) -> None:
    """A file that takes no room and says that it is larger than any."""
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link that leads in a circle": lambda path: path.symlink_to(path.name),
    "a file of 2,000,000,001 bytes, more than 2,000,000,000": make_large,
}
RUBBISH: dict[str, bytes] = {
    "nothing": b"",
    "random bytes": np.random.default_rng(0).integers(0, 256, 3000, np.uint8).tobytes(),
    "UTF-16": "image,labels,split\none.png,cat,train\n".encode("utf-16"),
    "NUL bytes": b"\0" * 1000,
    "deep JSON": b"[" * 100_000,
    "deep XML": b"<annotation>" * 50_000,
    "a long number": b'{"image": ' + b"9" * 5000 + b"}\n",
    "a long line": b"one" * 100_000,
    "halves of letters": b'{"image": "\\udcf6.png", "labels": ["\\udcf6"]}\n',
    "no objects": b"null",
}


def laid_out(reader: str, root: Path) -> Path:
    """A small data set in the layout of a reader."""
    if reader == "shapes":
        READERS[reader].read(root)
    else:
        layouts.LAYOUTS[reader](root)
    return root


def looked_at(reader: str, root: Path) -> str:
    """Everything that the first stage says of a data set."""
    method = READERS[reader]
    with contextlib.suppress(DataError):
        method.preview(root)  # which tells less, and waits for nothing either
    try:
        index = method.read(root)
        files = RawFiles.of(root, {entry.id: entry.file for entry in index.entries})
        truth = Truth.of(reader, root, files.files, index.meaning)
        said = [*index.problems, *(f"{one}: a mask that belongs to no image" for one in truth.strays())]
        for image, file in files.files.items():
            assert files.key(image)
            truth.key(image)
            size, problem = files.inspect(image)
            said += [f"{file}: {problem}"] if problem else []
            said += [mask_problem] if not problem and (mask_problem := truth.problem(image, size)) else []
    except DataError as error:
        said = [str(error)]
    text = "; ".join(said)
    assert text.encode() and len(text.splitlines()) == 1 and len(text) < 5000
    return text


def replaced(root: Path, name: str, make: Callable[[Path], object]) -> None:
    """Put something else in the place of a file."""
    if name == "labels.jsonl":
        (root / "labels.csv").unlink()
    (root / name).unlink(missing_ok=True)
    make(root / name)


@pytest.mark.parametrize("found", NO_FILES)
@pytest.mark.parametrize(("name", "reader"), [*LISTS.items(), *PICTURES.items()])
def test_what_is_no_file_is_named(tmp_path: Path, name: str, reader: str, found: str) -> None:
    root = laid_out(reader, tmp_path)
    replaced(root, name, NO_FILES[found])
    said = looked_at(reader, root)
    assert name in said and found in said, said


@pytest.mark.parametrize("content", RUBBISH.values(), ids=RUBBISH)
@pytest.mark.parametrize(("name", "reader"), [*LISTS.items(), *PICTURES.items()])
def test_a_file_with_something_else_in_it_is_named(tmp_path: Path, name: str, reader: str, content: bytes) -> None:
    root = laid_out(reader, tmp_path)
    replaced(root, name, lambda path: path.write_bytes(content))
    if name.endswith(".txt") and not content:
        READERS[reader].read(root)  # an empty list is none
        return
    assert name in looked_at(reader, root)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize(("name", "reader"), [one for one in LISTS.items() if one[0] != "labels.jsonl"])
def test_a_mark_that_says_utf_8_changes_nothing(tmp_path: Path, name: str, reader: str, mark: bytes) -> None:
    root = laid_out(reader, tmp_path)
    before = READERS[reader].read(root)
    (root / name).write_bytes(mark + (root / name).read_bytes())
    assert READERS[reader].read(root) == before and not before.problems


@pytest.mark.parametrize("found", [one for one in NO_FILES if not one.startswith("a file")])
@pytest.mark.parametrize("name", ["labels.csv", "images/train_0001.png", "images", "masks", "world.json"])
def test_a_drawn_world_with_something_else_in_it(tmp_path: Path, name: str, found: str) -> None:
    """It is drawn again, or refused with one line."""
    root = laid_out("shapes", tmp_path / "shapes")
    (root / name).rename(tmp_path / "moved")
    NO_FILES[found](root / name)
    try:
        READERS["shapes"].read(root)
    except DataError as error:
        assert str(error).startswith(str(root))  # noqa: PT017 (either will do)
    else:
        assert len(list((root / "images").iterdir())) == 3


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    """Only JSON can spell them."""
    layouts.coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    name = os.fsdecode(b"k\xf6ttur.jpg")
    (tmp_path / "train2017" / "one.jpg").rename(tmp_path / "train2017" / name)
    content: dict[str, Any] = json.loads(file.read_text())
    content["images"][0]["file_name"] = name
    file.write_text(json.dumps(content))
    assert looked_at("coco", tmp_path) == (
        "annotations/instances_train2017.json: it is not what COCO calls instances: "
        "TypeError(\"'k\\\\udcf6ttur.jpg' where a text should be\")"
    )
