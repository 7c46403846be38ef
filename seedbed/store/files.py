"""Files for people and other programs, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from seedbed.errors import MachineError


def write(content: bytes, file: Path) -> None:
    """Write a file; whoever is stopped meanwhile, or finds no room, leaves what was there before."""
    with writing(file) as out:
        out.write(content)


class Writer:
    """A file that is being written from its beginning to its end."""

    def __init__(self, out: BinaryIO, file: Path) -> None:
        self._out = out
        self._file = file

    def write(self, content: bytes) -> int:
        """Go on with it."""
        with _refusals_told(self._file):
            return self._out.write(content)

    def flush(self) -> None:
        """Nothing: others see it at its end."""


@contextmanager
def writing(file: Path, *, before: Callable[[], None] = lambda: None) -> Iterator[Writer]:
    """Write a file piece by piece. It takes its place at the end alone, and not at all where that is not reached.

    before: done when all is written, before it takes its place.
    """
    with ExitStack() as stack:
        with _refusals_told(file):
            unfinished = stack.enter_context(_aside(file.parent)) / "unfinished"
            out = unfinished.open("wb")
            stack.callback(_close_unfinished, out)
        yield Writer(out, file)
        with _refusals_told(file):
            out.flush()
            os.fsync(out.fileno())  # some disks say only here that they are full
            out.close()
            before()
            unfinished.replace(file)


def _close_unfinished(out: BinaryIO) -> None:
    with suppress(OSError):  # a full disk, which has been told already
        out.close()


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
