"""A drawn world of animals that comes with the code, so that everything can be tried without downloading anything.

It is weakly supervised segmentation in miniature, with the same difficulties. Every animal has a small mark of its own (red rings, a
spiral) on a large body whose texture it shares with another animal, so a classifier's class maps cover too little. Fish nearly always
swim in water and cows nearly always stand in a meadow, so class maps cover too much. Animals differ in size, are rotated, hide one
another, have thin tails and antennae, and lie among stones, sticks and leaves, which belong to no class. The difficulty was calibrated
once and has been frozen since; docs/world.md has the figures. The world is drawn into `dataset.root` if it is not there yet, in the
layout that the method `folder` reads.

Paper: none; the world is our own.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import colorsys
import csv
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from pydantic import Field, model_validator

from seedbed import dataset
from seedbed.dataset import Index, Preview
from seedbed.dataset._drawing import draw_image
from seedbed.dataset._textures import Generator
from seedbed.dataset._things import SPECIES
from seedbed.dataset.folder import COLUMNS, Folder
from seedbed.errors import DataError, join_names
from seedbed.methods import method
from seedbed.store import raw
from seedbed.types import LabelMap

DRAWING_VERSION = 4  # raise it whenever what is drawn changes, so that worlds on disk are drawn again
SPLITS = ("train", "val")
FOLDERS = ("images", "masks", "instances")
RECORD = "world.json"
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)  # writing is not permitted
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # something else is in that place

Count = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=64, le=1024)]


@method
class Shapes(dataset.Method):
    num_train: Count  # images in the split train
    num_val: Count  # images in the split val
    seed: Seed  # a different seed gives a different world
    min_side: Side  # heights and widths are uniform in min_side..max_side; no image is square
    max_side: Side  # must be larger than min_side

    @model_validator(mode="after")
    def _sides_in_order(self) -> Self:
        if self.min_side >= self.max_side:
            raise ValueError(f"max_side above min_side, which is {self.min_side}")
        return self

    def read(self, root: Path) -> Index:
        if not self._is_drawn(root):
            _refuse_foreign(root)
            try:
                self._draw(Path(os.path.realpath(root)))
            except OSError as error:
                if error.errno not in (*NOT_ALLOWED, *IN_THE_WAY):
                    raise
                raise DataError(
                    str(root),
                    found=f"that {error.filename} cannot be written: {error.strerror}",
                    expected="a folder to draw the world into",
                    do="check its permissions, or set dataset.root to another folder",
                ) from error
        return Folder(classes=tuple(SPECIES), complete=True).read(root)

    def preview(self, root: Path) -> Preview:
        _refuse_foreign(root)
        return Preview(tuple(SPECIES), dict.fromkeys(SPLITS, True), self.num_train + self.num_val)

    def _record(self, root: Path) -> bytes:
        """The content of world.json if this folder holds exactly this world."""
        record = {"drawing_version": DRAWING_VERSION, "parameters": dataclasses.asdict(self), "sha256": _digest(root)}
        return (json.dumps(record, indent=2) + "\n").encode()

    def _is_drawn(self, root: Path) -> bool:
        record = root / RECORD
        return raw.kind(record) == raw.FILE and raw.read(record) == self._record(root)

    def _draw(self, root: Path) -> None:
        drawing = root.with_name(f"{root.name}.drawing")
        shutil.rmtree(drawing, ignore_errors=True)
        for folder in FOLDERS:
            (drawing / folder).mkdir(parents=True)
        with (drawing / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for name, split, generator in self._images():
                image, mask, numbers = draw_image(generator, min_side=self.min_side, max_side=self.max_side)
                _write_png(drawing / "images" / name, image[..., ::-1])
                _write_mask(drawing / "masks" / name, mask)
                _write_mask(drawing / "instances" / name, numbers)
                labels = [species for number, species in enumerate(SPECIES, start=1) if (mask == number).any()]
                table.writerow([name, " ".join(labels), split])
        (drawing / RECORD).write_bytes(self._record(drawing))
        # The record is moved first: it marks the folder as ours, and its digest does not match until the last file has arrived.
        root.mkdir(parents=True, exist_ok=True)
        shutil.move(drawing / RECORD, root / RECORD)
        for file in _drawn_files(root):
            file.unlink()
        for file in _drawn_files(drawing):
            target = root / file.relative_to(drawing)
            target.parent.mkdir(exist_ok=True)
            shutil.move(file, target)
        shutil.rmtree(drawing)

    def _images(self) -> Iterator[tuple[str, str, Generator]]:
        """File name, split and random generator of every image; none depends on how many images there are."""
        for split_index, (split, count) in enumerate(zip(SPLITS, (self.num_train, self.num_val), strict=True)):
            for index in range(count):
                yield f"{split}_{index:04d}.png", split, np.random.default_rng([self.seed, split_index, index])


def _drawn_files(root: Path) -> list[Path]:
    """Files that this method wrote, recognised by name; everything else in the folder belongs to the user."""
    patterns = ["labels.csv", *(f"{folder}/{split}_[0-9]*.png" for folder in FOLDERS for split in SPLITS)]
    return sorted(file for pattern in patterns for file in root.glob(pattern))


def _digest(root: Path) -> str:
    total = hashlib.sha256()
    for file in _drawn_files(root):
        total.update(f"{file.relative_to(root).as_posix()} {hashlib.sha256(raw.read(file)).hexdigest()}\n".encode())
    return total.hexdigest()


def _refuse_foreign(root: Path) -> None:
    """Refuse a folder that holds other files, rather than mix the drawn world with them."""
    found = raw.kind(root)
    if found in (raw.NOTHING, raw.DANGLING) or raw.kind(root / RECORD) == raw.FILE:
        return
    foreign = sorted(path.name for path in raw.matching(root, "*") if path.name != ".gitignore") if found == raw.FOLDER else [found]
    if foreign:
        raise DataError(
            str(root),
            found=f"files that do not belong to a drawn world: {join_names(foreign[:5])}",
            expected=f"an empty folder, or one with a {RECORD}",
            do="set dataset.root to another folder, or select the dataset method that reads these files",
        )


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _write_mask(path: Path, mask: LabelMap) -> None:
    """Write classes, or numbers of animals, as palette entries, so that viewers show them in colour."""
    picture = PillowImage.frombytes("P", mask.shape[::-1], mask.tobytes())
    picture.putpalette([0, 0, 0, *(level for number in range(len(SPECIES)) for level in _colour(number))])
    picture.save(path)


def _colour(number: int) -> tuple[int, int, int]:
    """A colour for viewers that know nothing of the classes: hues by the golden ratio, in two brightnesses."""
    red, green, blue = colorsys.hsv_to_rgb((number * 0.618034) % 1.0, 0.75, 0.95 if number % 2 == 0 else 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)
