"""Videos in the layout of DAVIS, whose things are of one class and have no labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedbed.dataset import Index
from seedbed.dataset.davis import Davis
from seedbed.errors import DataError
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from tests.support import layouts

SIZES = {"bear/00000": "one", "bear/00001": "two", "swan/00000": "three"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos."""
    layouts.davis(tmp_path)
    return tmp_path


def read(root: Path, *, folder: str = "480p", every: int = 1, told_apart: bool = False) -> Index:
    index = Davis(folder=folder, every=every, told_apart=told_apart).read(root)
    index.check(root)
    return index


def things(root: Path, image: str, *, told_apart: bool) -> list[tuple[int, int, int]]:
    """Class, first column and last column of every true thing, and whether the rest is as it should be."""
    index = read(root, told_apart=told_apart)
    files = {entry.id: entry.file for entry in index.entries}
    true = InstanceTruth.of(Truth.of("davis", root, files, index.meaning), "davis").original(image, layouts.SIZES[SIZES[image]])
    assert true is not None and true.void.any() == (told_apart and image.startswith("swan"))
    columns = [np.flatnonzero(one.shape.any(axis=0)) for one in true.things]
    return [(one.label, int(each[0]), int(each[-1])) for one, each in zip(true.things, columns, strict=True)]


def test_frames_are_listed_video_by_video_and_have_no_labels(root: Path) -> None:
    index = read(root)
    assert [(entry.id, entry.file) for entry in index.entries] == [(one, f"JPEGImages/480p/{one}.jpg") for one in SIZES]
    assert all(entry.labels is None and entry.splits == {"val"} for entry in index.entries)
    assert index.class_names == ("thing",)
    assert [entry.id for entry in read(root, every=2).entries] == ["bear/00000", "swan/00000"]


def test_whatever_is_not_0_is_one_class_and_255_is_void_where_things_are_numbered(root: Path) -> None:
    assert [read(root).meaning[value] for value in (0, 1, 2, 254, 255)] == [0, 1, 1, 1, 1]
    assert [read(root, told_apart=True).meaning[value] for value in (0, 1, 2, 254, 255)] == [0, 1, 1, 1, 255]


def test_things_are_told_apart_by_their_numbers(root: Path) -> None:
    assert things(root, "bear/00001", told_apart=True) == [(1, 4, 9), (1, 12, 17)]
    assert things(root, "swan/00000", told_apart=True) == []


def test_or_all_is_one_thing(root: Path) -> None:
    assert things(root, "bear/00001", told_apart=False) == [(1, 4, 17)]
    assert things(root, "swan/00000", told_apart=False) == [(1, 4, 9)]


def test_without_a_folder_between_videos_lie_below_the_first(root: Path) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p").rename(root / "moved")
        (root / kind).rmdir()
        (root / "moved").rename(root / kind)
    assert [entry.file for entry in read(root, folder="").entries] == [f"JPEGImages/{one}.jpg" for one in SIZES]
    with pytest.raises(DataError, match="JPEGImages/480p: no folder with frames, as JPEG"):
        read(root)


def test_what_has_another_layout_or_leads_out_of_it_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no JPEGImages"):
        read(tmp_path / "JPEGImages")
    with pytest.raises(DataError, match="no folder with frames"):
        read(root, folder="../..")
