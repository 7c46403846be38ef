"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import MachineError
from seedbed.store import files

PLACE = "expected free space, in a folder where you may write; free some space, or name another folder"


def refusing(number: int) -> Any:
    """A function that ends as the system's do."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_file_is_written_with_the_folders_that_it_lies_in(tmp_path: Path) -> None:
    files.write(b"new", tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"new"
    assert [one.name for one in (tmp_path / "a" / "b").iterdir()] == ["c"]
    files.write(b"newer", tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"newer"


def test_others_may_read_it_as_they_may_read_everything_else(tmp_path: Path) -> None:
    files.write(b"new", tmp_path / "a")
    (tmp_path / "b").write_bytes(b"new")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize(
    ("module", "function", "number", "found"),
    [
        (os, "fsync", errno.ENOSPC, "No space left on device"),
        (tempfile, "mkdtemp", errno.EROFS, "Read-only file system"),
        (tempfile, "mkdtemp", errno.EACCES, "Permission denied"),
    ],
)
def test_where_there_is_no_room_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, number: int, found: str
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(module, function, refusing(number))
    with pytest.raises(MachineError) as raised:
        files.write(b"new", tmp_path / "a")
    assert str(raised.value) == f"{tmp_path}/a: found that it cannot be written: {found}; {PLACE}"
    assert [*tmp_path.iterdir()] == [tmp_path / "a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_disk_that_is_full_half_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    code = f"from pathlib import Path; from seedbed.store import files; files.write(bytes(100_000), Path({str(tmp_path / 'a')!r}))"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run([sys.executable, "-c", code], preexec_fn=limit, capture_output=True, text=True, check=False)
    assert f"MachineError: {tmp_path}/a: found that it cannot be written: File too large; {PLACE}" in done.stderr
    assert [*tmp_path.iterdir()] == [tmp_path / "a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_place_is_refused_before_there_is_anything_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    files.check(tmp_path / "new" / "a")
    assert [*(tmp_path / "new").iterdir()] == []
    files.check(tmp_path / "file")
    for place, message in (
        (tmp_path, f"{tmp_path}: found a folder; expected a file, or nothing yet; name a file in it"),
        (tmp_path / "file" / "a", f"{tmp_path}/file: found a file; expected a folder, or nothing yet; name another"),
        (tmp_path / "file" / "a" / "b", f"{tmp_path}/file/a: found that it cannot be written: Not a directory; {PLACE}"),
        (tmp_path / ("n" * 300) / "a", f"{tmp_path}/{'n' * 300}/a: found that it cannot be written: File name too long; {PLACE}"),
    ):
        with pytest.raises(MachineError) as raised:
            files.check(place)
        assert str(raised.value) == message
    monkeypatch.setattr(tempfile, "mkdtemp", refusing(errno.EROFS))
    with pytest.raises(MachineError, match="found that it cannot be written: Read-only file system"):
        files.check(tmp_path / "new" / "a")


def test_a_file_that_is_written_piece_by_piece_is_there_at_the_end_alone(tmp_path: Path) -> None:
    file, seen = tmp_path / "a", list[bytes]()
    file.write_bytes(b"old")
    with files.writing(file, before=lambda: seen.append(file.read_bytes())) as out:
        out.write(b"ne")
        out.write(b"w")
        assert file.read_bytes() == b"old"
    assert seen == [b"old"] and file.read_bytes() == b"new"
    with pytest.raises(ZeroDivisionError):
        write_and_fail(file, ZeroDivisionError())
    assert file.read_bytes() == b"new" and [*tmp_path.iterdir()] == [file]


def write_and_fail(file: Path, error: Exception) -> None:
    with files.writing(file) as out:
        out.write(b"newest")
        raise error


def test_errors_of_whoever_writes_piece_by_piece_are_not_those_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of something else") as raised:
        write_and_fail(tmp_path / "a", OSError(errno.EIO, "of something else"))
    assert not isinstance(raised.value, MachineError) and [*tmp_path.iterdir()] == []
