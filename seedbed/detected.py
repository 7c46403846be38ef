"""Reads what a detector has left of images: for each a grey map, in a PNG or npy file that is called like the image."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from seedbed import images
from seedbed.errors import DataError, list_problems
from seedbed.store import raw
from seedbed.store.artifact import Artifact
from seedbed.types import Size

Scores = npt.NDArray[np.float32]
WHOLE = "a grey map of the image, as PNG or npy"
LARGEST = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65_535}  # of whole numbers, which stand for 1


@dataclass(frozen=True)
class DetectedMaps:
    """A map of every image, in a folder."""

    folder: Path
    data: Artifact  # the images
    digests: Mapping[str, str]  # by the image's id; empty where there is no file that can be read

    @classmethod
    def of(cls, folder: Path, data: Artifact, image_ids: Sequence[str]) -> DetectedMaps:
        """Digest the maps of images as they are now. They may be missing, or be no maps, which `check` tells."""

        def digest_of(image_id: str) -> str:
            try:
                file = _find_file(folder, image_id)
                return images.digest(raw.read(folder / file, where=file))
            except DataError:
                return ""

        with ThreadPoolExecutor() as threads:  # threads wait for the disk, and hash outside Python's lock
            return cls(folder.absolute(), data, dict(zip(image_ids, threads.map(digest_of, image_ids), strict=True)))

    def only(self, image_ids: Sequence[str]) -> DetectedMaps:
        """The same for some of the images alone."""
        return DetectedMaps(self.folder, self.data, {one: self.digests[one] for one in image_ids})

    def check(self, image_ids: Sequence[str]) -> None:
        """Refuse the maps of images if one is missing or is no map."""

        def find_problem(image_id: str) -> str:
            try:
                self._read(image_id)
            except DataError as error:
                return f"{error.where}: {error.found}"
            return ""

        with ThreadPoolExecutor() as threads:
            problems = sorted(filter(None, threads.map(find_problem, image_ids)))
        if problems:
            raise DataError(
                str(self.folder),
                found=f"{len(problems)} maps that cannot be used: {list_problems(problems)}",
                expected="for each image one of its size, called ID.png (grey) or ID.npy (from 0 to 1)",
                do="add or replace them",
            )

    def key(self, image_id: str) -> str:
        """Identity of an image's map."""
        height, width = self.data.size(image_id)
        return f"{self.digests[image_id]} {height} x {width}"

    def __getitem__(self, image_id: str) -> Scores:
        """The map of an image (y, x), in [0, 1], shrunk as the image is."""
        scores, size = self._read(image_id), self.data.size(image_id)
        return scores if scores.shape == size else np.asarray(cv2.resize(scores, size[::-1], interpolation=cv2.INTER_AREA), np.float32)

    def _read(self, image_id: str) -> Scores:
        """The map as it lies in its file."""
        file = _find_file(self.folder, image_id)
        content = raw.read(self.folder / file, where=file)
        if images.digest(content) != self.digests[image_id]:  # results are kept under that digest
            raise DataError(file, found="a file that is changing", expected="a file that stays as it is", do="run `dvc repro` again")
        return _decode(content, file, _original_size(self.data, image_id))


def _find_file(folder: Path, image_id: str) -> str:
    """The one file that is called like an image, relative to the folder."""
    there = [file for suffix in READERS if raw.kind(folder / (file := f"{image_id}{suffix}")) != raw.NOTHING]
    if len(there) != 1:
        raise DataError(image_id, found=" and ".join(there) or "no map", expected=WHOLE, do="add it, or remove one of them")
    return there[0]


def _original_size(data: Artifact, image_id: str) -> Size:
    height, width = data.array("original_size")[data.row(image_id)]
    return int(height), int(width)


def _decode(content: bytes, file: str, size: Size) -> Scores:
    """A map in [0, 1].

    file: for messages; size: that it must have.
    """
    if not content:
        raise DataError(file, found="an empty file", expected=WHOLE, do="replace it")
    values = READERS[Path(file).suffix](content, file)
    if values.shape != size:
        found, expected = " x ".join(map(str, values.shape)), " x ".join(map(str, size))
        raise DataError(file, found=f"{found} pixels, unlike the image's {expected}", expected=WHOLE, do="replace it")
    if values.dtype in LARGEST:
        return np.asarray(values / LARGEST[values.dtype], np.float32)
    if not np.issubdtype(values.dtype, np.floating) or not ((values >= 0) & (values <= 1)).all():
        found = f"values of {values.dtype} that are not all from 0 to 1"
        raise DataError(file, found=found, expected="bytes, or numbers from 0 to 1", do="scale them")
    return values.astype(np.float32)


def _read_png(content: bytes, file: str) -> npt.NDArray[Any]:
    if found := images.find_damage(content) if content.startswith(images.PNG) else "no PNG file":
        raise DataError(file, found=found, expected=WHOLE, do="replace it")
    try:
        with PillowImage.open(io.BytesIO(content), formats=("PNG",)) as opened:
            if opened.mode not in ("1", "L", "I;16"):
                raise DataError(file, found=f"pixels of the kind {opened.mode}", expected="grey ones", do="save it as grey")
            return np.asarray(opened)
    except images.HEADER_ERRORS as error:
        raise DataError(file, found=f"a PNG file that cannot be read: {error}", expected=WHOLE, do="replace it") from error


def _read_npy(content: bytes, file: str) -> npt.NDArray[Any]:
    try:
        values: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(content))
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise DataError(file, found=f"an npy file that cannot be read: {error}", expected=WHOLE, do="replace it") from error
    return values


READERS: dict[str, Callable[[bytes, str], npt.NDArray[Any]]] = {".png": _read_png, ".npy": _read_npy}
