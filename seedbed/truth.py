"""The reader of ground-truth masks. Pixel labels never reach training: only evaluation and benchmarks may import this module."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from seedbed.errors import DataError
from seedbed.images import Images
from seedbed.types import IGNORE, LabelMap, Size

AGAIN = "run `dvc repro evaluation`"


def mask_file(root: Path, image_file: str) -> Path:
    """Where the mask of an image is, if there is one: `masks/` beside `images/`, a PNG of the same name."""
    return root / "masks" / Path(image_file).relative_to("images").with_suffix(".png")


def read(root: Path, image_file: str, *, size: Size, num_classes: int) -> LabelMap | None:
    """The true class of every pixel, or None where the image has no mask.

    num_classes: without background.
    """
    file = mask_file(root, image_file)
    if not file.is_file():
        return None
    try:
        with PillowImage.open(file) as opened:
            mask = np.asarray(opened)
    except OSError as error:
        raise DataError(str(file), found=f"no readable image: {error}", expected="a mask", do="replace the file") from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(
            str(file),
            found=f"{mask.dtype} pixels of shape {mask.shape}",
            expected="one 8-bit class per pixel",
            do="save it as grey or palette",
        )
    if mask.shape != size:
        raise DataError(str(file), found=f"a mask of {mask.shape}", expected=f"{size}, as its image", do="correct the mask")
    unknown = sorted({int(one) for one in np.unique(mask)} - {*range(num_classes + 1), IGNORE})
    if unknown:
        raise DataError(str(file), found=f"classes {unknown}", expected=f"0..{num_classes} or {IGNORE}", do="correct the mask")
    return mask


@dataclass(frozen=True)
class Truth:
    """The truth of a data set's images."""

    pictures: Images
    digests: dict[str, str] = field(default_factory=dict)  # of the masks that were asked for, so that none changes unseen

    def key(self, image: str) -> str:
        """Identity of an image's mask; empty where there is none."""
        if image not in self.digests:
            self.digests[image] = self._digest(image)
        return self.digests[image]

    def only(self, images: Sequence[str]) -> Truth:
        """That of some images."""
        return Truth(self.pictures, {image: self.key(image) for image in images})

    def __getitem__(self, image: str) -> LabelMap | None:
        file, data = self.pictures.file(image), self.pictures.data
        labels = read(self.pictures.root, file, size=data.size(image), num_classes=data.num_classes)
        if self.key(image) != self._digest(image):
            raise DataError(str(mask_file(self.pictures.root, file)), found="a mask that is changing", expected="one that stays", do=AGAIN)
        return labels

    def _digest(self, image: str) -> str:
        file = mask_file(self.pictures.root, self.pictures.file(image))
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
