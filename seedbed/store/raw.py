"""Reads raw data, where a path may lead to anything: a folder, a pipe, a link in a circle.

So paths are examined before they are opened, nothing waits for a pipe, and whatever cannot be read is an error of one line.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from seedbed.errors import DataError, list_problems

FILE, FOLDER, NOTHING, DANGLING = "a file", "a folder", "no such file", "a link to nothing"
KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
MOST_BYTES = 2_000_000_000  # several times COCO's largest file of annotations, and any image that is decoded


def kind(path: Path) -> str:
    """What a path leads to, in words. Links are followed; nothing is opened."""
    try:
        return KINDS.get(stat.S_IFMT(path.stat().st_mode), "something strange")
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: an impossible file name
        return DANGLING if path.is_symlink() else NOTHING
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return NOTHING
        return "a link that leads in a circle" if error.errno == errno.ELOOP else f"something that cannot be examined: {error.strerror}"


def read(path: Path, *, where: str = "") -> bytes:
    """A file's content; refused if it is not a file or cannot be read.

    where: a name for the file in the message, if not its path.
    """
    found = kind(path)
    if found == FILE:
        try:
            size = path.stat().st_size
            if size <= MOST_BYTES:
                return path.read_bytes()
            found = f"a file of {size:,} bytes, more than {MOST_BYTES:,}"
        except OSError as error:
            found = f"a file that cannot be read: {error.strerror}"
        except MemoryError:
            found = f"a file of {size:,} bytes, too large for the available memory"
    raise DataError(where or str(path), found=found, expected=FILE, do="replace it, or check its permissions")


def text(path: Path, *, where: str = "") -> str:
    """A file's text."""
    content = read(path, where=where)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8: {error.reason}, at {error.start}"
        raise DataError(where or str(path), found=found, expected="UTF-8 text", do="save it as UTF-8") from error


def is_writable(name: str) -> bool:
    """Whether a text can be encoded as UTF-8: file names may hold other bytes, and JSON may hold lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def matching(folder: Path, pattern: str) -> list[Path]:
    """Paths in a folder whose names match a pattern, in order; empty if there is no such folder."""
    if kind(folder) != FOLDER:
        return []
    try:
        return sorted(path for path in folder.iterdir() if fnmatch.fnmatchcase(path.name, pattern))
    except OSError as error:
        _refuse_folder(error)


def below(folder: Path) -> Iterator[Path]:
    """Everything below a folder except folders. Links to folders are not followed."""
    if kind(folder) == FOLDER:
        for place, folders, names in os.walk(folder, onerror=_refuse_folder):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names))


def holds_project(folder: Path) -> bool:
    """Whether a folder is the project itself, or contains it."""
    return Path(os.path.realpath("data")).is_relative_to(os.path.realpath(folder))


def check(root: Path) -> list[str]:
    """Refuse a folder of raw data if DVC, which reads all of it, would fail at something in it, or wait for it.

    Returns links to folders, which DVC does not follow.
    """
    problems: list[str] = []
    linked: list[str] = []

    def note(error: OSError) -> None:
        problems.append(f"{os.path.relpath(error.filename, root)}: a folder that cannot be opened: {error.strerror}")

    if kind(root) in (NOTHING, DANGLING):
        return []  # the reader reports this, or draws the data
    if kind(root) != FOLDER:
        raise DataError(str(root), found=kind(root), expected="a folder of raw data", do="correct dataset.root in params.yaml")
    for place, folders, names in os.walk(root, onerror=note):
        folders.sort()
        for name in (*folders, *sorted(names)):
            path = Path(place, name)
            relative, what = path.relative_to(root).as_posix(), kind(path)
            if not is_writable(name):
                problems.append(f"{relative}: a name that is not UTF-8")
            elif what not in (FILE, FOLDER):
                problems.append(f"{relative}: {what}")
            elif what == FILE and not os.access(path, os.R_OK):
                problems.append(f"{relative}: a file that cannot be read")
            elif what == FOLDER and path.is_symlink():
                linked.append(relative)
    if problems:
        found = f"{len(problems)} paths that DVC cannot read: {list_problems(problems)}"
        raise DataError(
            str(root), found=found, expected="only readable files and folders", do="remove or rename them, or check their permissions"
        )
    return linked


def describe_links(linked: Sequence[str]) -> str:
    """What links to folders in the raw data mean for the user."""
    return (
        f"links to folders, in which DVC sees no change: {list_problems(linked)}; after one, run `dvc repro --force --single-item dataset`"
    )


def _refuse_folder(error: OSError) -> NoReturn:
    raise DataError(
        str(error.filename),
        found=f"a folder that cannot be opened: {error.strerror}",
        expected="a readable folder",
        do="check its permissions",
    ) from error
