"""Files of raw data, which others made: what lies in the place of a file may be anything.

So it is looked at before it is opened, nothing waits for a pipe, and what cannot be read is an error of one line.
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
    """What lies somewhere, behind links, in words; nothing is opened."""
    try:
        return KINDS.get(stat.S_IFMT(path.stat().st_mode), "something strange")
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: what no file can be called
        return DANGLING if path.is_symlink() else NOTHING
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return NOTHING
        return "a link that leads in a circle" if error.errno == errno.ELOOP else f"something that cannot be looked at: {error.strerror}"


def read(path: Path, *, where: str = "") -> bytes:
    """A file's content, refused where it is no file or cannot be read.

    where: the file, for the message, if that calls it by another name.
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
            found = f"a file of {size:,} bytes, for which there is no memory"
    raise DataError(where or str(path), found=found, expected=FILE, do="replace it, or see who may read it")


def text(path: Path, *, where: str = "") -> str:
    """A file's text."""
    content = read(path, where=where)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8: {error.reason}, at {error.start}"
        raise DataError(where or str(path), found=found, expected="UTF-8 text", do="save it as UTF-8") from error


def is_writable(name: str) -> bool:
    """Whether a text can be written as UTF-8. Names of files may hold bytes that cannot, and JSON may spell halves of letters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def matching(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder and is called so, in order; nothing where there is no folder."""
    if kind(folder) != FOLDER:
        return []
    try:
        return sorted(path for path in folder.iterdir() if fnmatch.fnmatchcase(path.name, pattern))
    except OSError as error:
        _refuse_folder(error)


def below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is none itself. Links to folders are not followed."""
    if kind(folder) == FOLDER:
        for place, folders, names in os.walk(folder, onerror=_refuse_folder):
            folders.sort()
            yield from (Path(place, name) for name in sorted(names))


def holds_project(folder: Path) -> bool:
    """Whether a folder is the project itself, or holds it."""
    return Path(os.path.realpath("data")).is_relative_to(os.path.realpath(folder))


def check(root: Path) -> list[str]:
    """Refuse a folder of raw data with something below it that DVC, which reads all of it, would stumble over or wait for.

    Returns links to folders, behind which DVC does not look.
    """
    problems: list[str] = []
    linked: list[str] = []

    def note(error: OSError) -> None:
        problems.append(f"{os.path.relpath(error.filename, root)}: a folder that cannot be looked into: {error.strerror}")

    if kind(root) in (NOTHING, DANGLING):
        return []  # whoever reads says so, or draws
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
        found = f"{len(problems)} things that DVC cannot read: {list_problems(problems)}"
        raise DataError(str(root), found=found, expected="files and folders alone", do="remove or rename them, or see who may read them")
    return linked


def unseen(linked: Sequence[str]) -> str:
    """What links to folders below the raw data mean for their owner."""
    return (
        f"links to folders, in which DVC sees no change: {list_problems(linked)}; after one, run `dvc repro --force --single-item dataset`"
    )


def _refuse_folder(error: OSError) -> NoReturn:
    raise DataError(
        str(error.filename), found=f"a folder that cannot be looked into: {error.strerror}", expected="one that can", do="see who may"
    ) from error
