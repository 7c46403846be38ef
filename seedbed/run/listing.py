"""Lists the files below a folder, so that changes can be seen without reading any content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """Something that has changed."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}, now {self.found}"


@dataclass(frozen=True)
class Listing:
    """The files below a folder, by relative name, each with its size and modification time; a single file has no name."""

    files: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, root: Path) -> Listing:
        """List files as they are now, or the one that the path leads to. Symbolic links are followed."""
        if root.is_file():
            about = root.stat()
            return cls({"": (about.st_size, about.st_mtime_ns)})
        found: dict[str, tuple[int, int]] = {}
        folders: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
        while folders:
            folder, prefix, around = folders.pop()
            with suppress(OSError):  # the reader reports folders that cannot be opened
                about = Path(folder).stat()
                here = about.st_dev, about.st_ino
                if here not in around:  # else it is a link to a folder that contains it
                    with os.scandir(folder) as entries:
                        folders += _list_files(entries, prefix, around | {here}, found)
        return cls(found)

    def changes(self, now: Listing, root: Path) -> Iterator[Change]:
        """Files that have been added, removed or written since."""
        if self == now:
            return
        for name in sorted({*self.files, *now.files}):
            before, after = self.files.get(name), now.files.get(name)
            if before != after:
                found = "no such file" if after is None else "a new file" if before is None else "another file"
                expected = "none, as when this stage began" if before is None else "the same file as when this stage began"
                yield Change(str(root / name), found, expected)


def _list_files(
    entries: Iterable[os.DirEntry[str]], prefix: str, around: frozenset[tuple[int, int]], found: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, str, frozenset[tuple[int, int]]]]:
    """Add the files of a folder to those found so far, and yield the folders in it."""
    for entry in entries:
        with suppress(OSError):
            if entry.is_dir():
                yield entry.path, f"{prefix}{entry.name}/", around
            else:
                about = entry.stat()
                found[prefix + entry.name] = about.st_size, about.st_mtime_ns
