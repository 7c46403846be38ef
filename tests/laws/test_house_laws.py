"""Rooms have names, errors too, and methods touch no disk: in this project, and not in copies that break it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.laws import house_laws
from tests.laws.broken_copy import BrokenCopy
from tests.laws.source_tree import SourceTree

Law = Callable[[SourceTree], list[str]]


@pytest.mark.parametrize("law", [house_laws.rooms_have_names, house_laws.no_bare_except, house_laws.methods_touch_no_disk])
def test_the_project_keeps_the_law(law: Law, checkout: SourceTree) -> None:
    assert law(checkout) == []


@pytest.mark.parametrize("file", ["seedbed/utils.py", "seedbed/seeds/common.py", "stages/helpers.py", "benchmarks/misc.py"])
def test_a_room_for_everything_is_found(broken: BrokenCopy, file: str) -> None:
    broken.append(file, "")
    word = file.rpartition("/")[2].removesuffix(".py")
    assert house_laws.rooms_have_names(broken.tree) == [f"{file}: call it after what it holds, not {word}"]


def test_a_package_for_everything_is_found(broken: BrokenCopy) -> None:
    broken.append("seedbed/utils/__init__.py", "")
    assert house_laws.rooms_have_names(broken.tree) == ["seedbed/utils/__init__.py: call it after what it holds, not utils"]


def test_a_bare_except_is_found(broken: BrokenCopy) -> None:
    where = broken.append("seedbed/crf.py", "\ntry:\n    pass\nexcept:\n    pass").rpartition(":")
    assert house_laws.no_bare_except(broken.tree) == [f"{where[0]}:{int(where[2]) + 3}: name the error after except"]


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("open('x')", "open"),
        ("path.read_text()", "read_text"),
        ("(root / 'x').read_bytes()", "read_bytes"),
        ("path.write_text('x')", "write_text"),
        ("write = path.write_bytes", "write_bytes"),
        ("import cv2; cv2.imread('x')", "imread"),
        ("from cv2 import imwrite", "imwrite"),
        ("import zarr; zarr.open('x')", "open"),
        ("zarr.open_group('x')", "open_group"),
    ],
)
@pytest.mark.parametrize("file", ["seedbed/seeds/superpixel_background.py", "seedbed/seeds/__init__.py", "seedbed/crf.py"])
def test_a_file_read_in_the_wrong_place_is_found(broken: BrokenCopy, file: str, text: str, verb: str) -> None:
    where = broken.append(file, text)
    assert house_laws.methods_touch_no_disk(broken.tree) == [f"{where}: remove {verb}: methods and most of the core touch no disk"]


def test_readers_of_data_sets_may_read(broken: BrokenCopy) -> None:
    broken.append("seedbed/dataset/folder.py", "open('x')")
    assert house_laws.methods_touch_no_disk(broken.tree) == []
