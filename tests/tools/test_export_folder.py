"""What is exported lands in its folder, and nothing that others put there is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seedbed.errors import DataError
from seedbed.tools.export_folder import LISTING, ExportFolder, check_ids

ELSEWHERE = "move it away, or name another folder"


def export(folder: Path, **contents: str) -> None:
    with ExportFolder(folder) as out:
        for name, content in contents.items():
            out.write(name.replace("__", "/"), content.encode())


@pytest.mark.parametrize("image_id", ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "a/", "./a", "a/..", ".."])
def test_ids_that_lead_elsewhere_are_refused(image_id: str) -> None:
    with pytest.raises(DataError) as raised:
        check_ids(["good", image_id])
    found = "an id that leads out of a folder, or to no file"
    assert str(raised.value) == f"{image_id!r}: found {found}; expected a name, perhaps with folders before it; rename the image"


def test_odd_ids_are_taken() -> None:
    check_ids(["a/<script>", "猫 & 'كلب'", 'plain "one"', "...", "..a/b..", "a\\b"])
    for odd in ("a\nb", "a\0b", "\x1b[2J"):
        with pytest.raises(DataError, match="an id with signs that command a terminal"):
            check_ids([odd])
    with pytest.raises(DataError) as raised:
        check_ids(["a b"], in_lists=True)
    assert "found an id with spaces, which lists of images cannot hold" in str(raised.value)


def test_an_export_replaces_what_it_wrote_earlier_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    export(folder, a="1", deep__er__b="2", c="3")
    (folder / "notes.txt").write_text("mine")
    export(folder, a="4", c="3")
    assert sorted(one.name for one in folder.iterdir()) == ["a", "c", "notes.txt", LISTING]
    assert (folder / "a").read_text() == "4" and (folder / "notes.txt").read_text() == "mine"
    subprocess.run(["sha256sum", "--check", "--quiet", LISTING], cwd=folder, check=True)


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("mine")
    with pytest.raises(DataError) as raised:
        export(tmp_path / "mine", a="1")
    found = "found a folder with things that `seedbed export` did not write; expected an empty one, or none; name another"
    assert str(raised.value) == f"{tmp_path}/mine: {found}"
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["a"] and (tmp_path / "mine" / "a").read_text() == "mine"


def test_files_that_were_edited_since_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    export(tmp_path / "out", a="1", b="2")
    (tmp_path / "out" / "b").write_text("corrected by hand")
    with pytest.raises(DataError) as raised:
        export(tmp_path / "out", a="3", b="4")
    found = "found a file that has been changed since it was exported; expected it as it was"
    assert str(raised.value) == f"{tmp_path}/out/b: {found}; {ELSEWHERE}"
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_a_file_that_somebody_put_in_the_way_is_refused(tmp_path: Path) -> None:
    export(tmp_path / "out", a="1")
    (tmp_path / "out" / "b").write_text("mine")
    with pytest.raises(DataError, match=r"out/b: found something that `seedbed export` did not write; expected nothing, or what it wrote"):
        export(tmp_path / "out", a="3", b="4")
    (tmp_path / "out" / "b").unlink()
    (tmp_path / "outside").mkdir()
    (tmp_path / "out" / "b").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match=r"out/b: found a link that leads out of the folder; expected a folder in it"):
        export(tmp_path / "out", b__c="4")
    assert [*(tmp_path / "outside").iterdir()] == []


def stop_half_way(folder: Path) -> None:
    with ExportFolder(folder) as out:
        out.write("a", b"1")
        with out.writing("b") as piece:
            piece.write(b"2")
            raise ZeroDivisionError


def test_an_export_that_was_stopped_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        stop_half_way(tmp_path / "out")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["a", LISTING]
    export(tmp_path / "out", a="1", b="2")
    assert (tmp_path / "out" / "b").read_text() == "2"


def test_a_list_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / LISTING).write_text("something else\n")
    with pytest.raises(DataError, match="found another file; expected the list of what was exported; name another folder"):
        export(tmp_path, a="1")
    (tmp_path / LISTING).unlink()
    export(tmp_path / "out")
    with (tmp_path / "out" / LISTING).open("a") as listing:
        listing.write(f"{'0' * 64}  ../mine\n")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(DataError, match="leads out of a folder"):
        export(tmp_path / "out")
    assert [*(tmp_path / "out").iterdir()] == [tmp_path / "out" / LISTING] and (tmp_path / "mine").exists()
