"""The one decoder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seedbed.errors import DataError
from seedbed.types import Image, Size

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
class Inspected:
    """What an index says of an image file, or what is wrong with it."""

    size: Size
    digest: str
    problem: str


def inspect(path: Path, *, max_size: Size) -> Inspected:
    """Decode an image file once. A problem is returned, not raised, so that all problems can be reported together."""
    content = path.read_bytes()
    try:
        height, width = decode(content, where=path.name).shape[:2]
    except DataError as error:
        return Inspected((0, 0), "", f"{path}: {error.found}")
    if height > max_size[0] or width > max_size[1]:
        return Inspected(
            (height, width), "", f"{path}: {height} x {width} pixels, larger than dataset.max_size {max_size[0]} x {max_size[1]}"
        )
    return Inspected((height, width), digest(content), "")


def refuse(inspected: Sequence[Inspected], *, where: str) -> None:
    """Raise one error for all problems.

    where: the data set, for the message.
    """
    problems = [one.problem for one in inspected if one.problem]
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise DataError(
            where,
            found=f"{len(problems)} images that cannot be used: {shown}",
            expected="images that can be decoded and are no larger than dataset.max_size",
            do="replace or remove them, or raise dataset.max_size in params.yaml",
        )


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
    """The images of an indexed data set, by row."""

    root: Path
    files: Sequence[str]  # relative to the root
    digests: Sequence[str]

    def __reduce__(self) -> tuple[object, ...]:
        # Wherever it arrives, the current folder may be another.
        return (Images, (self.root.absolute(), self.files, self.digests))

    def __getitem__(self, row: int) -> Image:
        return read(self.root / self.files[row], expected_digest=self.digests[row])
