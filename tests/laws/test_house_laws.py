"""Rooms have names, errors too, and methods touch no disk: in this project, and not in copies that break it."""

from __future__ import annotations

import pytest

from tests.laws import house_laws
from tests.laws.broken_copy import BrokenCopy, Law
from tests.laws.source_tree import SourceTree

LAWS = [house_laws.rooms_have_names, house_laws.no_bare_except, house_laws.methods_touch_no_disk, house_laws.methods_have_oracles]


@pytest.mark.parametrize("law", LAWS)
def test_the_project_keeps_the_law(law: Law, checkout: SourceTree) -> None:
    assert law(checkout) == []


@pytest.mark.parametrize("file", ["seedbed/utils.py", "seedbed/seeds/common.py", "stages/helpers.py", "benchmarks/misc.py"])
def test_a_room_for_everything_is_found(broken: BrokenCopy, file: str) -> None:
    broken.append(file, "")
    word = file.rpartition("/")[2].removesuffix(".py")
    assert broken.new(house_laws.rooms_have_names) == [f"{file}: call it after what it holds, not {word}"]


def test_a_package_for_everything_is_found(broken: BrokenCopy) -> None:
    broken.append("seedbed/utils/__init__.py", "")
    assert broken.new(house_laws.rooms_have_names) == ["seedbed/utils/__init__.py: call it after what it holds, not utils"]


def test_a_bare_except_is_found(broken: BrokenCopy) -> None:
    where = broken.append("seedbed/algorithms/crf.py", "\ntry:\n    pass\nexcept:\n    pass").rpartition(":")
    assert broken.new(house_laws.no_bare_except) == [f"{where[0]}:{int(where[2]) + 3}: name the error after except"]


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
def test_a_file_read_by_a_method_is_found(broken: BrokenCopy, text: str, verb: str) -> None:
    where = broken.append("seedbed/seeds/superpixel_background.py", text)
    assert broken.new(house_laws.methods_touch_no_disk) == [f"{where}: remove {verb}: methods and most of the core touch no disk"]


def test_readers_of_data_sets_may_read(broken: BrokenCopy) -> None:
    broken.append("seedbed/dataset/folder.py", "open('x')")
    assert broken.new(house_laws.methods_touch_no_disk) == []


@pytest.mark.parametrize("file", ["seedbed/seeds/__init__.py", "seedbed/algorithms/crf.py", "seedbed/learning/loop.py"])
def test_a_file_read_by_the_core_or_a_contract_is_found(broken: BrokenCopy, file: str) -> None:
    where = broken.append(file, "open('x')")
    assert broken.new(house_laws.methods_touch_no_disk) == [f"{where}: remove open: methods and most of the core touch no disk"]


def test_a_method_that_nothing_is_held_against_is_found(broken: BrokenCopy) -> None:
    """Tests of the copy are empty, and so is the reader's that needs none."""
    missing = "add test_the_whole_...: seedbed/{0}, all of it, against the same written down plainly"
    complaint = f"tests/seeds/test_threshold.py: {missing.format('seeds/threshold.py')}"
    assert complaint in broken.new(house_laws.methods_have_oracles)
    broken.append("tests/seeds/test_threshold.py", "def test_the_whole_written_down() -> None: ...")
    found = broken.new(house_laws.methods_have_oracles)
    assert complaint not in found and not any("dataset" in one or "pretraining/none" in one for one in found)
    broken.append("seedbed/seeds/new.py", "@method\nclass New:\n    number: int\n")
    assert f"tests/seeds/test_new.py: {missing.format('seeds/new.py')}" in broken.new(house_laws.methods_have_oracles)
