"""The one decoder of images."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.artifacts import Artifact
from seedbed.errors import DataError
from seedbed.types import Image, Size

SHOWN = 20  # problems in a message

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken image is told of in our own words


def decode(content: bytes, *, where: str) -> Image:
    """RGB pixels of an encoded image, turned as its EXIF tag says; grey, alpha and 16 bits become 8-bit RGB.

    where: the file, for the message.
    """
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if bgr is None:
        raise DataError(where, found=f"{len(content)} bytes that are not an image", expected="a whole image file", do="replace the file")
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def digest(content: bytes) -> str:
    """Identity of an image file."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class RawFiles:
    """Image files that are not indexed yet."""

    root: Path
    files: Mapping[str, str]  # by id, relative to the root
    digests: Mapping[str, str]  # by id; empty where a file cannot be read

    @classmethod
    def of(cls, root: Path, files: Mapping[str, str]) -> RawFiles:
        """Files as they are now."""

        def digest_of(file: str) -> str:
            try:
                return digest((root / file).read_bytes())
            except OSError:
                return ""

        with ThreadPoolExecutor() as threads:  # waits for the disk, and hashes outside Python's lock
            return cls(root.absolute(), files, dict(zip(files, threads.map(digest_of, files.values()), strict=True)))

    def key(self, image: str) -> str:
        """Identity of an image file."""
        return self.digests[image] or f"unreadable {self.files[image]}"

    def only(self, images: Sequence[str]) -> RawFiles:
        """Some of them."""
        return RawFiles(self.root, {one: self.files[one] for one in images}, {one: self.digests[one] for one in images})

    def inspect(self, image: str) -> tuple[Size, str]:
        """Size of an image, or what is wrong with its file: returned, not raised, so that all problems can be told together."""
        problem, content = "", b""
        try:
            content = (self.root / self.files[image]).read_bytes()
        except OSError as error:
            problem = f"a file that cannot be read: {error.strerror}"
        if self.digests[image] != ("" if problem else digest(content)):  # what is found out here is kept under that digest
            raise DataError(self.files[image], found="a file that is changing", expected="one that stays", do="run it again")
        try:
            height, width = (0, 0) if problem else decode(content, where=self.files[image]).shape[:2]
        except DataError as error:
            return (0, 0), error.found
        return (height, width), problem


def review(files: Sequence[str], max_size: Size, computed: Mapping[str, npt.NDArray[Any]], *, allowed: int, where: str) -> None:
    """Raise one error for all files that cannot be used, and name those that are left out.

    computed: `size` and `problem` of every file.
    allowed: so many may be broken.
    where: the data set, for messages.
    """
    problems = [f"{file}: {problem}" for file, problem in zip(files, computed.get("problem", ()), strict=True) if problem]
    sizes = zip(files, computed.get("size", ()), strict=True)
    large = [f"{file}: {size[0]} x {size[1]} pixels" for file, size in sizes if (np.asarray(size) > max_size).any()]
    broken = len(problems) > allowed
    if broken or large:
        raise DataError(
            where,
            found=f"{len(large) + len(problems)} images that cannot be used: {shown([*large, *problems])}",
            expected=f"images that can be decoded and are no larger than dataset.max_size, {max_size[0]} x {max_size[1]}",
            do=f"replace or remove them, raise dataset.max_size, or let dataset.allow_broken, now {allowed}, leave broken ones out",
        )
    if problems:
        print(f"dataset: leaving out {len(problems)} broken images: {shown(problems)}", file=sys.stderr)


def shown(lines: Sequence[str]) -> str:
    """The first of many."""
    return "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")


def read(path: Path, *, expected_digest: str) -> Image:
    """An image of an indexed data set, refused where the file is not the one that was indexed."""
    if not path.is_file():
        raise DataError(str(path), found="no such file", expected="the image that was indexed", do="restore it, or run `dvc repro dataset`")
    content = path.read_bytes()
    if digest(content) != expected_digest:
        raise DataError(str(path), found="another file than was indexed", expected="the same content", do="run `dvc repro dataset`")
    return decode(content, where=str(path))


@dataclass(frozen=True)
class Images:
    """The images of an indexed data set, by id."""

    root: Path
    data: Artifact

    def __reduce__(self) -> tuple[object, ...]:
        # Wherever it arrives, the current folder may be another.
        return (Images, (self.root.absolute(), self.data))

    def key(self, image: str) -> str:
        """Identity of an image."""
        return str(self.data.whole("image_digest")[self.data.row(image)])

    def file(self, image: str) -> str:
        """Where an image is, relative to the root."""
        return str(self.data.whole("file")[self.data.row(image)])

    def __getitem__(self, image: str) -> Image:
        return read(self.root / self.file(image), expected_digest=self.key(image))
