"""Files for people and other programs, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedbed.errors import MachineError


def write(content: bytes, file: Path) -> None:
    """Write a file. If the write is interrupted or the disk is full, the old file stays."""
    with _refusals_told(file), _aside(file.parent) as folder:
        unfinished = folder / "unfinished"
        with unfinished.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())  # some disks report only here that they are full
        unfinished.replace(file)


def check(file: Path) -> None:
    """Refuse a path where no file can be written, before there is anything to write."""
    with _refusals_told(file):
        if file.is_dir():
            raise MachineError(str(file), found="a folder", expected="a file, or nothing yet", do="name a file in it")
    check_folder(file.parent)


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be written."""
    with _refusals_told(folder):
        if folder.is_file():
            raise MachineError(str(folder), found="a file", expected="a folder, or nothing yet", do="name another")
        with _aside(folder):
            pass


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A temporary folder within another, on the same file system."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as inner:
        yield Path(inner)


@contextmanager
def _refusals_told(place: Path) -> Iterator[None]:
    """Turn errors of the system into one line for the user."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            str(place),
            found=f"that it cannot be written: {error.strerror}",
            expected="free space, in a folder where you may write",
            do="free some space, or name another folder",
        ) from error
