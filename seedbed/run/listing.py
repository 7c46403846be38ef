"""What lies below a folder, so that a change there is seen. No content is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """Something that is not what it was."""

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}, now {self.found}"


@dataclass(frozen=True)
class Listing:
    """The files below a folder, by relative name, each with its size and when it was written: no content is read."""

    files: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, root: Path) -> Listing:
        """As they are now. Symbolic links are followed."""
        found: dict[str, tuple[int, int]] = {}
        folders: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
        while folders:
            folder, prefix, around = folders.pop()
            with suppress(OSError):  # what cannot be looked into is the reader's to tell
                about = Path(folder).stat()
                here = about.st_dev, about.st_ino
                if here not in around:  # else it is a link to a folder that it lies in
                    with os.scandir(folder) as entries:
                        folders += _list_files(entries, prefix, around | {here}, found)
        return cls(found)

    def changes(self, now: Listing, root: Path) -> Iterator[Change]:
        """What has been added, removed or written since."""
        if self == now:
            return
        for name in sorted({*self.files, *now.files}):
            before, after = self.files.get(name), now.files.get(name)
            if before != after:
                found = "no such file" if after is None else "a new file" if before is None else "another file"
                expected = "none, as when this stage began" if before is None else "the file with which this stage began"
                yield Change(str(root / name), found, expected)


def _list_files(
    entries: Iterable[os.DirEntry[str]], prefix: str, around: frozenset[tuple[int, int]], found: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, str, frozenset[tuple[int, int]]]]:
    """Add the files of a folder to what was found, and give the folders within it."""
    for entry in entries:
        with suppress(OSError):
            if entry.is_dir():
                yield entry.path, f"{prefix}{entry.name}/", around
            else:
                about = entry.stat()
                found[prefix + entry.name] = about.st_size, about.st_mtime_ns
