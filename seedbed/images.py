"""Decodes images, here and nowhere else, and finds damaged files."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image as PillowImage

from seedbed.errors import DataError, list_problems
from seedbed.store import raw
from seedbed.store.artifact import Artifact
from seedbed.types import Image, Size

SMALLEST_SIDE = 2  # pixels
LARGEST_SIDE = 20_000
MOST_PIXELS = 100_000_000  # 300 MB decoded

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"  # how files begin
CUT_SHORT = "Premature end of JPEG file"  # a message of libjpeg
# Harmless warnings of libjpeg, and limitations of simplejpeg, which OpenCV does not have.
HARMLESS = re.compile(r"JFIF revision|Adobe color transform|Invalid SOS parameters|color conversion|\(\): ")
EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker")
MAX_PADDING = 8  # extraneous bytes that are no damage: some cameras pad their files
ORIENTATION, LYING = 0x0112, 5  # EXIF's tag for how the camera was held; from this value on, on its side
# Errors that Pillow's readers raise for wrong bytes.
HEADER_ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, ArithmeticError, LookupError, EOFError, MemoryError)

PillowImage.MAX_IMAGE_PIXELS = MOST_PIXELS  # beyond that it warns
# Broken images are reported in our own words.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
logging.getLogger("PIL").setLevel(logging.CRITICAL)


def decode(content: bytes, *, where: str) -> Image:
    """RGB pixels of an encoded image, rotated as its EXIF tag says; grey, palette, CMYK, alpha and 16 bits become 8-bit RGB.

    where: the file, for the message.
    """
    if announced := read_announced_size(io.BytesIO(content)):
        _check_size(announced, where)
    if found := find_damage(content):
        raise DataError(where, found=found, expected="a whole image file", do="replace the file")
    return _decode_safely(content, where)


def _decode_safely(content: bytes, where: str) -> Image:
    """Pixels of an image in which no damage was found."""
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:
        bgr = None
    if bgr is None:
        raise DataError(where, found=f"{len(content)} bytes that are not an image", expected="a whole image file", do="replace the file")
    _check_size((bgr.shape[0], bgr.shape[1]), where)
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def find_damage(content: bytes) -> str:
    """Wrong bytes in an image file that decoders would turn into pixels without an error, in words; empty if none are found.

    PNG has checksums. In JPEG, wrong bytes usually shift what follows, so that data is left over or missing at the end; others are not
    found. Data after the end of an image is not damage: cameras add previews and films there.
    """
    return _find_png_damage(content) if content.startswith(PNG) else _find_jpeg_damage(content) if content.startswith(JPEG) else ""


def _find_png_damage(content: bytes) -> str:
    view, start = memoryview(content), len(PNG)
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if end > len(content):
            break
        essential = kind[:1].isupper()  # the other chunks hold remarks
        if essential and zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return f"a PNG file with wrong bytes: the checksum of chunk {kind.decode('latin-1')!r} does not match"
        if kind == b"IEND":
            return ""
        start = end
    return "a PNG file that is cut short"


def _find_jpeg_damage(content: bytes) -> str:
    try:
        simplejpeg.decode_jpeg(content, "GRAY", min_height=1, min_width=1)  # reads all data, but makes few pixels from it
    except ValueError as error:  # raised for libjpeg's warnings, too, and for some files that OpenCV can read
        message = str(error)
        extraneous = EXTRANEOUS.search(message)
        if HARMLESS.search(message) or (extraneous and int(extraneous[1]) <= MAX_PADDING):
            return ""
        return "a JPEG file that is cut short" if CUT_SHORT in message else f"a JPEG file with wrong bytes: {message}"
    return ""


def _check_size(size: Size, where: str) -> None:
    """Refuse images that are too small or too large to be sensible."""
    height, width = size
    if min(size) < SMALLEST_SIDE or max(size) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise DataError(
            where,
            found=f"{height} x {width} pixels",
            expected=f"sides of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels, and no more than {MOST_PIXELS:,} in all",
            do="scale the image, or remove it",
        )


def read_announced_size(file: Path | BinaryIO, *, upright: bool = False) -> Size | None:
    """Height and width according to the header of a file, before anything is decoded; None if Pillow cannot tell.

    upright: as after the rotation that the EXIF tag says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with PillowImage.open(file) as opened:
                return (opened.width, opened.height) if upright and _lies(opened) else (opened.height, opened.width)
        except PillowImage.DecompressionBombError:
            return LARGEST_SIDE, LARGEST_SIDE
        except HEADER_ERRORS:
            return None


def _lies(picture: PillowImage.Image) -> bool:
    """Whether EXIF says that a camera was held on its side."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return False  # Pillow would decode the whole picture to look for EXIF after it
    value = picture.getexif().get(ORIENTATION)
    return isinstance(value, int) and value >= LYING


def fit_size(size: Size, bound: Size) -> Size:
    """The size of an image after it is shrunk to fit a bound, with its proportions kept."""
    scale = min(1.0, bound[0] / size[0], bound[1] / size[1])
    height, width = (max(SMALLEST_SIDE, min(limit, round(scale * side))) for side, limit in zip(size, bound, strict=True))
    return height, width


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
        """Digest files as they are now."""

        def digest_of(file: str) -> str:
            try:
                return digest(raw.read(root / file))
            except DataError:
                return ""

        with ThreadPoolExecutor() as threads:  # threads wait for the disk, and hash outside Python's lock
            return cls(root.absolute(), files, dict(zip(files, threads.map(digest_of, files.values()), strict=True)))

    def key(self, image_id: str) -> str:
        """Identity of an image file."""
        file = self.files[image_id]
        return self.digests[image_id] or f"unreadable {file}: {raw.kind(self.root / file)}"

    def only(self, image_ids: Sequence[str]) -> RawFiles:
        """The same for some of the images alone."""
        return RawFiles(self.root, {one: self.files[one] for one in image_ids}, {one: self.digests[one] for one in image_ids})

    def inspect(self, image_id: str) -> tuple[Size, str]:
        """Size of an image, or what is wrong with its file: returned, not raised, so that all problems can be reported together."""
        content, problem = b"", ""
        try:
            content = raw.read(self.root / self.files[image_id])
        except DataError as error:
            problem = error.found
        if self.digests[image_id] != ("" if problem else digest(content)):  # results are kept under that digest
            raise DataError(self.files[image_id], found="a file that is changing", expected="a file that stays as it is", do="run it again")
        try:
            height, width = (0, 0) if problem else decode(content, where=self.files[image_id]).shape[:2]
        except DataError as error:
            return (0, 0), error.found
        return (height, width), problem


def review(
    where: str, files: Sequence[str], max_size: Size, allowed: int, listed: Sequence[str], computed: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Raise one error for everything that is wrong with a data set, and print which images are left out.

    where: the data set, for messages.
    allowed: how many files may be broken.
    listed: problems of lists, tables and annotations.
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
            found="; ".join(f"{len(found[kind])} {kind}: {list_problems(found[kind])}" for kind in wrong),
            expected="; ".join(expected[kind] for kind in wrong),
            do=do,
        )
    if broken:
        print(f"dataset: leaving out {len(broken)} broken images: {list_problems(broken)}", file=sys.stderr)


def read(path: Path, *, expected_digest: str) -> Image:
    """An image of an indexed data set; refused if the file has changed since."""
    if (found := raw.kind(path)) != raw.FILE:
        raise DataError(str(path), found=found, expected="the image that was indexed", do="restore it, or run `dvc repro dataset`")
    content = raw.read(path)
    if digest(content) != expected_digest:
        raise DataError(str(path), found="another file than the one indexed", expected="the same content", do="run `dvc repro dataset`")
    return _decode_safely(content, str(path))


@dataclass(frozen=True)
class Images:
    """The images of an indexed data set, by id."""

    root: Path
    data: Artifact

    def __reduce__(self) -> tuple[object, ...]:
        # In another process the current folder may be a different one.
        return (Images, (self.root.absolute(), self.data))

    def key(self, image_id: str) -> str:
        """Identity of an image's pixels."""
        height, width = self.data.size(image_id)
        return f"{self.digest(image_id)} {height} x {width}"

    def digest(self, image_id: str) -> str:
        """Identity of an image's file."""
        return str(self.data.array("image_digest")[self.data.row(image_id)])

    def file(self, image_id: str) -> str:
        """Path of an image's file, relative to the root."""
        return str(self.data.array("file")[self.data.row(image_id)])

    def __getitem__(self, image_id: str) -> Image:
        pixels, size = read(self.root / self.file(image_id), expected_digest=self.digest(image_id)), self.data.size(image_id)
        if pixels.shape[:2] == size:
            return pixels
        return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
