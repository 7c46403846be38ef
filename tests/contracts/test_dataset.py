"""What every reader of data sets promises."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedbed import methods
from seedbed.dataset import Index
from seedbed.errors import DataError

NAMES = methods.list_available("dataset")


def assert_index(index: Index, root: Path) -> None:
    """An index is what the stage `dataset` can write."""
    assert index.entries
    assert len({entry.id for entry in index.entries}) == len(index.entries)
    assert len(set(index.class_names)) == len(index.class_names)
    for entry in index.entries:
        assert (root / entry.file).is_file()
        labels = entry.labels or frozenset()
        assert labels <= set(index.class_names)
        assert entry.splits
        assert index.labels(entry)[0]
        assert index.labels(entry).sum() == 1 + len(labels)
        assert index.splits(entry).sum() == len(entry.splits)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_refused_by_its_name_or_filled(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    root = tmp_path / "raw"
    try:
        index = small_method("dataset", name).read(root)
    except DataError as error:
        assert str(root) in str(error)  # noqa: PT017 (either answer will do)
    else:
        assert_index(index, root)


@pytest.mark.parametrize("name", NAMES)
def test_reading_twice_gives_the_same_index(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    answers: list[object] = []
    for _ in range(2):
        try:
            answers.append(small_method("dataset", name).read(tmp_path / "raw"))
        except DataError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("make", "found"),
    [(Path.touch, "a file"), (os.mkfifo, "a pipe"), (lambda path: path.symlink_to(path.name), "a link that leads in a circle")],
)
def test_a_root_that_is_no_folder_is_refused_by_its_name(
    name: str, make: Callable[[Path], object], found: str, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    make(tmp_path / "raw")
    with pytest.raises(DataError) as raised:
        small_method("dataset", name).read(tmp_path / "raw")
    assert str(raised.value).startswith(f"{tmp_path / 'raw'}: found ") and found in str(raised.value)
