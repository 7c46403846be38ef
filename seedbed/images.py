"""The one decoder of images."""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from seedbed.artifacts import Artifact
from seedbed.errors import DataError, shown
from seedbed.types import Image, Size

SMALLEST_SIDE = 2  # pixels
LARGEST_SIDE = 20_000
MOST_PIXELS = 100_000_000  # 300 MB decoded

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken image is told of in our own words


def decode(content: bytes, *, where: str) -> Image:
    """RGB pixels of an encoded image, turned as its EXIF tag says; grey, palette, CMYK, alpha and 16 bits become 8-bit RGB.

    where: the file, for the message.
    """
    if announced := _announced_size(content):
        _check_size(announced, where)
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if bgr is None:
        raise DataError(where, found=f"{len(content)} bytes that are not an image", expected="a whole image file", do="replace the file")
    _check_size((bgr.shape[0], bgr.shape[1]), where)
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _check_size(size: Size, where: str) -> None:
    """Refuse what is no sensible image."""
    height, width = size
    if min(size) < SMALLEST_SIDE or max(size) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise DataError(
            where,
            found=f"{height} x {width} pixels",
            expected=f"sides of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels, and no more than {MOST_PIXELS:,} in all",
            do="scale the image, or remove it",
        )


def _announced_size(content: bytes) -> Size | None:
    """Height and width as the head of a file says, before anything is unpacked; None where Pillow does not know the format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
        try:
            with PillowImage.open(io.BytesIO(content)) as opened:
                return opened.height, opened.width
        except PillowImage.DecompressionBombError:
            return LARGEST_SIDE, LARGEST_SIDE
        except ValueError:  # a head that would itself be a bomb
            return LARGEST_SIDE, LARGEST_SIDE
        except (OSError, SyntaxError):
            return None


def fitted(size: Size, bound: Size) -> Size:
    """The size of an image that was shrunk until it fits; its proportions stay as they are."""
    scale = min(1.0, bound[0] / size[0], bound[1] / size[1])
    return tuple(max(SMALLEST_SIDE, min(limit, round(scale * side))) for side, limit in zip(size, bound, strict=True))  # type: ignore[return-value]


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


def review(
    where: str, files: Sequence[str], max_size: Size, allowed: int, listed: Sequence[str], computed: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Raise one error for all that is wrong with a data set, and name what is left out.

    where: the data set, for messages.
    allowed: so many files may be broken.
    listed: what is wrong with lists, tables and annotations.
    computed: `size`, `problem` and `mask_problem` of every file.
    """
    broken = [f"{file}: {problem}" for file, problem in zip(files, computed.get("problem", ()), strict=True) if problem]
    sizes = zip(files, computed.get("size", ()), strict=True)
    unusable = [f"{file}: {size[0]} x {size[1]} pixels" for file, size in sizes if (np.asarray(size) > max_size).any()]
    unusable += broken if len(broken) > allowed else []
    masks = [problem for problem in computed.get("mask_problem", ()) if problem]
    found = {"entries that are wrong": listed, "images that cannot be used": unusable, "masks that cannot be used": masks}
    expected = {
        "entries that are wrong": "existing images once each, with known classes",
        "images that cannot be used": f"files that can be decoded, no larger than dataset.max_size, {max_size[0]} x {max_size[1]}",
        "masks that cannot be used": "masks of the size of their images, with known values",
    }
    do = "correct, replace or remove them"
    if unusable:
        do += "; or raise dataset.max_size, or let dataset.larger be shrink"
        do += f", or let dataset.allow_broken, now {allowed}, leave broken images out"
    wrong = [kind for kind, problems in found.items() if problems]
    if wrong:
        raise DataError(
            where,
            found="; ".join(f"{len(found[kind])} {kind}: {shown(found[kind])}" for kind in wrong),
            expected="; ".join(expected[kind] for kind in wrong),
            do=do,
        )
    if broken:
        print(f"dataset: leaving out {len(broken)} broken images: {shown(broken)}", file=sys.stderr)


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
        """Identity of an image's pixels."""
        height, width = self.data.size(image)
        return f"{self.digest(image)} {height} x {width}"

    def digest(self, image: str) -> str:
        """Identity of an image's file."""
        return str(self.data.whole("image_digest")[self.data.row(image)])

    def file(self, image: str) -> str:
        """Where an image is, relative to the root."""
        return str(self.data.whole("file")[self.data.row(image)])

    def __getitem__(self, image: str) -> Image:
        pixels, size = read(self.root / self.file(image), expected_digest=self.digest(image)), self.data.size(image)
        if pixels.shape[:2] == size:
            return pixels
        return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
