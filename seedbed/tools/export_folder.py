"""The folder that an export writes to: its own files are kept apart from what others put there, and nothing lands outside."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from seedbed.errors import DataError
from seedbed.store import files
from seedbed.store.files import Writer

LISTING = "seedbed-export.txt"  # what was written, as `sha256sum --check` reads it
HEAD = "# written by seedbed export: SHA-256 of every file"
ELSEWHERE = "move it away, or name another folder"


def check_ids(image_ids: Iterable[str], *, in_lists: bool = False) -> None:
    """Refuse ids that no file can be called by, before anything is written.

    in_lists: whether they stand in lists whose words are separated by spaces.
    """
    for image_id in image_ids:
        wrong = ""
        if any(part in ("", ".", "..") for part in image_id.split("/")):
            wrong = "an id that leads out of a folder, or to no file"
        elif any(ord(letter) < 32 or ord(letter) == 127 for letter in image_id):
            wrong = "an id with signs that command a terminal"
        elif in_lists and any(letter.isspace() for letter in image_id):
            wrong = "an id with spaces, which lists of images cannot hold"
        if wrong:
            raise DataError(repr(image_id), found=wrong, expected="a name, perhaps with folders before it", do="rename the image")


class Hashed:
    """A file that is being written, and the digest of what it has so far."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        """Go on with it."""
        self.digest.update(content)
        return self._writer.write(content)


class ExportFolder:
    """A folder that is written in `with`. What an earlier export left there and this one does not write is gone at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, str] = {}  # digest of every file, by name
        self._earlier: dict[str, set[str]] = {}

    def __enter__(self) -> Self:
        files.check_folder(self.folder)
        listing = self.folder / LISTING
        if not os.path.lexists(listing) and any(self.folder.iterdir()):
            found = "a folder with things that `seedbed export` did not write"
            raise DataError(str(self.folder), found=found, expected="an empty one, or none", do="name another")
        self._earlier = self._read(listing)
        for name, digests in self._earlier.items():
            self._check(name, digests)
        if not self._earlier:
            files.write(f"{HEAD}\n".encode(), listing)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for name in self._earlier.keys() - self._written.keys():
                self._remove(name)
            lines = [HEAD, *(f"{digest}  {name}" for name, digest in self._written.items())]
            files.write("\n".join([*lines, ""]).encode(), self.folder / LISTING)

    def write(self, name: str, content: bytes) -> None:
        """Write a file.

        name: below the folder, which has been checked.
        """
        with self.writing(name) as out:
            out.write(content)

    @contextmanager
    def writing(self, name: str) -> Iterator[Hashed]:
        """Write a file piece by piece."""
        self._check(name, self._earlier.get(name, set()))
        hashed: list[Hashed] = []
        with files.writing(self.folder / name, before=lambda: self._note(name, hashed[0].digest.hexdigest())) as writer:
            hashed.append(Hashed(writer))
            yield hashed[0]

    def _note(self, name: str, digest: str) -> None:
        """List a file before it is there, so that one that is there is always listed, whenever this is killed."""
        with (self.folder / LISTING).open("a", encoding="utf-8") as listing:
            listing.write(f"{digest}  {name}\n")
        self._written[name] = digest

    def _check(self, name: str, digests: set[str]) -> None:
        """Refuse to touch what an export did not write, or what somebody has changed since."""
        file = self.folder / name
        if not Path(os.path.realpath(file.parent)).is_relative_to(os.path.realpath(self.folder)):
            raise DataError(str(file.parent), found="a link that leads out of the folder", expected="a folder in it", do=ELSEWHERE)
        if not os.path.lexists(file):
            return
        if file.is_symlink() or not file.is_file() or not digests:
            found = "something that `seedbed export` did not write"
            raise DataError(str(file), found=found, expected="nothing, or what it wrote", do=ELSEWHERE)
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() not in digests:
                found = "a file that has been changed since it was exported"
                raise DataError(str(file), found=found, expected="it as it was", do=ELSEWHERE)

    def _remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        for parent in (self.folder / name).parents:
            if parent == self.folder or any(parent.iterdir()):
                break
            parent.rmdir()

    @staticmethod
    def _read(listing: Path) -> dict[str, set[str]]:
        """Digests of what an export has listed, by name."""
        found: dict[str, set[str]] = {}
        if os.path.lexists(listing):
            head, *lines = listing.read_text(encoding="utf-8", errors="replace").split("\n")
            if head != HEAD:
                raise DataError(str(listing), found="another file", expected="the list of what was exported", do="name another folder")
            for line in lines:
                digest, _, name = line.partition("  ")
                if name:
                    found.setdefault(name, set()).add(digest)
            check_ids(found)
        return found
