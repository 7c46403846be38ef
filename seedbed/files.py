"""Files for people and other programs: written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedbed.errors import MachineError


def write(content: bytes, file: Path) -> None:
    """Write a file; whoever is stopped meanwhile, or finds no room, leaves what was there before."""
    with _aside(file) as folder:
        unfinished = folder / "unfinished"
        with unfinished.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())  # some disks say only here that they are full
        unfinished.replace(file)


def check(file: Path) -> None:
    """Refuse a place where no file can be written, before there is anything to write."""
    if file.is_dir():
        raise MachineError(str(file), found="a folder", expected="a file, or nothing yet", do="name a file in it")
    with _aside(file):
        pass


@contextmanager
def _aside(file: Path) -> Iterator[Path]:
    """A folder in which a file is built before it takes its place; gone afterwards."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=file.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise MachineError(
            str(file),
            found=f"that it cannot be written: {error.strerror}",
            expected="a folder with room, where you may write",
            do="make room, or name another place",
        ) from error
