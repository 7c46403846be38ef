"""The reader of ground-truth masks. Pixel labels never reach training: evaluation and benchmarks read them, and nothing that learns.

Stage `dataset` asks for one thing alone, whether masks can be used, so that a wrong one is told at the start; its artifact is the
same with and without masks.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from seedbed import images
from seedbed.errors import DataError, shorten
from seedbed.images import Images
from seedbed.scoring import outlines
from seedbed.store import raw
from seedbed.types import BACKGROUND, IGNORE, LabelMap, Size

PICTURES = {  # per reader: the folder of images, and folders in which masks are looked for in turn, PNG files that are called as the images
    "davis": ("JPEGImages", "Annotations"),
    "folder": ("images", "masks"),
    "shapes": ("images", "masks"),
    "voc": ("JPEGImages", "SegmentationClass", "SegmentationClassAug"),  # VOC's own before those of other people
}
OUTLINES = ("coco",)  # readers of data whose masks are outlines in JSON
AGAIN = "run `dvc repro evaluation`"


@dataclass(frozen=True)
class Pictures:
    """True masks as picture files, grey or with a palette: what counts is the number of a pixel, not its colour."""

    root: Path
    images: str
    folders: tuple[str, ...]
    what: str = "a mask"  # for messages

    def file(self, image_file: str) -> Path | None:
        """The mask of an image: a PNG at the same place below another folder, the first that has one."""
        image = Path(image_file)
        name = (image.relative_to(self.images) if image.is_relative_to(self.images) else image).with_suffix(".png")
        # Whatever lies there is meant to be the mask, though it may turn out not to be a file.
        return next((file for folder in self.folders if os.path.lexists(file := self.root / folder / name)), None)

    @property
    def all_used(self) -> bool:
        """Whether every mask is of an image; a devkit may have masks of images that are in no list."""
        return len(self.folders) == 1

    def only(self, image_files: Sequence[str]) -> Pictures:
        """Those of some images."""
        return self

    def digest(self, image_file: str) -> str:
        """Identity of a mask; empty where there is none."""
        file = self.file(image_file)
        try:
            return hashlib.sha256(raw.read(file)).hexdigest() if file else ""
        except DataError as error:
            return f"unreadable: {error.found}"

    def strays(self, image_files: Iterable[str]) -> list[str]:
        """Files among masks that belong to none of the images, in layouts where every mask should."""
        if not self.all_used:
            return []
        used = {self.file(one) for one in image_files}
        there = (file for file in raw.below(self.root / self.folders[0]) if not file.name.startswith("."))
        return [file.relative_to(self.root).as_posix() for file in there if file not in used]

    def where(self, image_file: str) -> str:
        """A mask's file, for messages."""
        return str(self.file(image_file))

    def read(self, image_file: str, size: Size, digest: str) -> LabelMap | None:
        """Values of every pixel, or None where there is no mask.

        size, digest: that it must have.
        """
        file = self.file(image_file)
        content = raw.read(file) if file else b""
        if digest != (hashlib.sha256(content).hexdigest() if file else ""):
            where = str(file or self.root / image_file)
            raise DataError(where, found=f"{self.what} that is changing", expected="a file that stays as it is", do=AGAIN)
        if file is None:
            return None
        if found := images.find_damage(content) if content.startswith(images.PNG) else "no PNG file":
            raise DataError(str(file), found=found, expected=self.what, do="replace the file")
        announced = images.read_announced_size(io.BytesIO(content))
        if announced and announced != size:  # before it is unpacked
            raise DataError(str(file), found=f"{self.what} of {announced}", expected=f"{size}, as its image", do="correct the mask")
        try:
            with PillowImage.open(io.BytesIO(content), formats=("PNG",)) as opened:
                mask = np.asarray(opened)
        except images.HEADER_ERRORS as error:
            found = f"a PNG file that cannot be read: {error}"
            raise DataError(str(file), found=found, expected=self.what, do="replace the file") from error
        if mask.ndim != 2 or mask.dtype != np.uint8:
            found = f"{mask.dtype} pixels of shape {mask.shape}"
            raise DataError(str(file), found=found, expected="one 8-bit class per pixel", do="save it as grey or palette")
        return mask


@dataclass(frozen=True)
class Annotated:
    """A thing, or a crowd, that is annotated."""

    category: int
    shape: npt.NDArray[np.bool_]  # (y, x)
    crowd: bool
    area: float  # as annotated


@dataclass(frozen=True)
class Outlines:
    """True masks as COCO keeps them: outlines of things, which are drawn when they are asked for."""

    things: Mapping[str, tuple[Size, tuple[dict[str, Any], ...]]]  # by image file; size of the image, and what is annotated

    @classmethod
    def of(cls, root: Path, image_files: Sequence[str]) -> Outlines:
        """Those of some images below a folder."""
        found: dict[str, tuple[Size, tuple[dict[str, Any], ...]]] = {}
        for one in image_files:
            folder, *rest = Path(one.removeprefix("images/")).parts
            file = root / "annotations" / f"instances_{folder}.json"
            if raw.kind(file) == raw.FILE and (things := _read_annotations(file, file.stat().st_mtime_ns).get("/".join(rest))):
                found[one] = things
        return cls(found)

    def strays(self, image_files: Iterable[str]) -> list[str]:
        """Nothing: what is annotated of images that are not listed is told by the reader."""
        del image_files
        return []

    def only(self, image_files: Sequence[str]) -> Outlines:
        """Those of some images."""
        return Outlines({one: self.things[one] for one in image_files if one in self.things})

    def digest(self, image_file: str) -> str:
        """Identity of what is annotated; empty where nothing is known of the image."""
        if image_file not in self.things:
            return ""
        return hashlib.sha256(json.dumps(self.things[image_file], sort_keys=True).encode()).hexdigest()

    def where(self, image_file: str) -> str:
        """Where an image is annotated, for messages."""
        return f"annotations/instances_{Path(image_file).parent.name}.json, {Path(image_file).name}"

    def read(self, image_file: str, size: Size, digest: str) -> LabelMap | None:
        """Values of every pixel, or None where nothing is known. Smaller things lie over larger ones; crowds count nowhere.

        size: that it must have; digest: nothing here changes.
        """
        del digest
        if image_file not in self.things:
            return None
        mask = np.zeros(size, np.uint8)
        things = sorted(self.list(image_file, size), key=attrgetter("area"), reverse=True)
        for thing in things:
            if not thing.crowd:
                mask[thing.shape] = thing.category
        for thing in things:  # what is ignored covers only what nothing else does
            if thing.crowd:
                mask[thing.shape & (mask == BACKGROUND)] = IGNORE
        return mask

    def list(self, image_file: str, size: Size) -> list[Annotated]:
        """What is annotated of an image of which something is known.

        size: that it must have.
        """
        announced, things = self.things[image_file]
        if announced != size:
            where = self.where(image_file)
            raise DataError(where, found=f"an image of {announced}", expected=f"{size}, as it is", do="correct the annotations")
        return [
            Annotated(self._category(one, image_file), self._drawn(one, size, image_file), bool(one.get("iscrowd")), _area(one))
            for one in things
        ]

    def _category(self, thing: Mapping[str, Any], image_file: str) -> int:
        number = thing.get("category_id")
        if not isinstance(number, int) or not BACKGROUND < number < IGNORE:
            found = f"category {number!r}, of annotation {thing.get('id')}"
            raise DataError(self.where(image_file), found=found, expected=f"1 to {IGNORE - 1}", do="correct it")
        return number

    def _drawn(self, thing: Mapping[str, Any], size: Size, image_file: str) -> npt.NDArray[np.bool_]:
        try:
            return outlines.draw(thing["segmentation"], size)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            found = f"an outline that cannot be drawn, of annotation {thing.get('id')}: {shorten(repr(error))}"
            raise DataError(self.where(image_file), found=found, expected="polygons or run lengths", do="correct it") from error


def _area(thing: Mapping[str, Any]) -> float:
    area = thing.get("area")
    return float(area) if isinstance(area, int | float) else 0.0


@lru_cache(maxsize=4)
def _read_annotations(file: Path, changed: int) -> dict[str, tuple[Size, tuple[dict[str, Any], ...]]]:
    """What a file of COCO says of every image, by its file name.

    changed: when that was, so that a file that has changed is read again.
    """
    del changed
    things: dict[int, list[dict[str, Any]]] = {}
    try:
        content = json.loads(raw.text(file))
        for thing in content["annotations"]:
            kept = {name: thing[name] for name in ("id", "category_id", "segmentation", "area", "iscrowd") if name in thing}
            things.setdefault(thing["image_id"], []).append(kept)
        return {one["file_name"]: ((one["height"], one["width"]), tuple(things.get(one["id"], ()))) for one in content["images"]}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        found = f"what COCO does not call instances: {shorten(repr(error))}"
        raise DataError(
            str(file), found=found, expected="the file that was indexed", do="restore it, or run `dvc repro dataset`"
        ) from error


@dataclass(frozen=True)
class Truth:
    """The truth of images, by id."""

    masks: Pictures | Outlines
    files: Mapping[str, str]  # image files, relative to the root
    meaning: tuple[int, ...]  # class of every value; 255 counts nowhere, -1 must not occur
    sizes: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)  # of indexed images: in the file, and as they are used
    digests: dict[str, str] = field(default_factory=dict)  # of the masks that were asked for, so that none changes unseen

    @classmethod
    def of(cls, reader: str, root: Path, files: Mapping[str, str], meaning: npt.ArrayLike) -> Truth:
        """The truth of images that are not indexed yet.

        reader: which layout they have.
        """
        images, *folders = PICTURES.get(reader, ("",))  # of a reader that is not known here, there are none
        masks = Outlines.of(root, list(files.values())) if reader in OUTLINES else Pictures(root.absolute(), images, tuple(folders))
        return cls(masks, files, tuple(int(one) for one in np.asarray(meaning)))

    @classmethod
    def of_images(cls, pictures: Images, image_ids: Sequence[str] | None = None) -> Truth:
        """The truth of an indexed data set.

        image_ids: of these alone; None takes all that can be used.
        """
        data = pictures.data
        files = {one: pictures.file(one) for one in (data.usable if image_ids is None else image_ids)}
        sizes = {one: (data.original_size(one), data.size(one)) for one in files}
        return replace(cls.of(data.made_by.method, pictures.root, files, data.array("mask_meaning")), sizes=sizes)

    def key(self, image: str) -> str:
        """Identity of an image's mask; empty where there is none."""
        if image not in self.digests:
            self.digests[image] = self.masks.digest(self.files[image])
        return f"{self.digests[image]} {self._meaning_key}" if self.digests[image] else ""

    def only(self, images: Sequence[str]) -> Truth:
        """That of some images."""
        files = {image: self.files[image] for image in images}
        for image in images:
            self.key(image)
        digests = {image: self.digests[image] for image in images}
        sizes = {image: self.sizes[image] for image in images if image in self.sizes}
        return Truth(self.masks.only(list(files.values())), files, self.meaning, sizes, digests)

    def __getitem__(self, image: str) -> LabelMap | None:
        """The true class of every pixel of an indexed image as it is used, or None where it has no mask."""
        original, size = self.sizes[image]
        labels = self.original(image, original)
        if labels is None or size == original:
            return labels
        return np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)

    def original(self, image: str, size: Size) -> LabelMap | None:
        """The true class of every pixel in the size of the image's file, or None where it has no mask."""
        file = self.files[image]
        self.key(image)
        mask = self.masks.read(file, size, self.digests[image])
        if mask is None:
            return None
        return self.translate(image, mask)

    def translate(self, image: str, values: npt.NDArray[np.uint8]) -> LabelMap:
        """Classes that values of an image's mask mean; 255 is none."""
        labels = np.asarray(self.meaning, np.int16)[values]
        if (labels < 0).any():
            found = f"classes {sorted({int(one) for one in np.unique(values[labels < 0])})}"
            raise DataError(self.masks.where(self.files[image]), found=found, expected=self._describe_values(), do="correct the mask")
        return labels.astype(np.uint8)

    def strays(self) -> list[str]:
        """Files among masks that belong to none of the images."""
        return self.masks.strays(self.files.values())

    def problem(self, image: str, size: Size) -> str:
        """What is wrong with an image's mask; empty where nothing is, or where there is none."""
        try:
            self.original(image, size)
        except DataError as error:
            return spell(error)
        return ""

    @property
    def _meaning_key(self) -> str:
        return hashlib.sha256(repr(self.meaning).encode()).hexdigest()[:16]

    def _describe_values(self) -> str:
        """Values that may occur, as ranges."""
        values = [value for value, meaning in enumerate(self.meaning) if meaning >= 0]
        return " or ".join(_ranges(values))


def spell(error: DataError) -> str:
    """What is wrong, for a list of all that is."""
    return f"{error.where}: {error.found} instead of {error.expected}"


def _ranges(values: Sequence[int]) -> Iterator[str]:
    """0, 1, 2, 255 as '0..2' and '255'."""
    first = None
    for place, value in enumerate(values):
        first = value if first is None else first
        if place + 1 == len(values) or values[place + 1] != value + 1:
            yield str(value) if first == value else f"{first}..{value}"
            first = None
