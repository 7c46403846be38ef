"""The reader of true things: which pixels are of which thing, beside `truth.py`, which says of what class.

The same holds of it: evaluation and benchmarks read it, and nothing that learns. Stage `dataset` asks for one thing alone, whether it can
be used.

Things are numbered in picture files of their own, whose classes are those of the mask beneath, or they are annotated one by one. Pixels
that are marked 255 are void, and so are those of a class in the mask that no thing has: of what thing they are nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from seedbed.errors import DataError
from seedbed.scoring.true_things import TrueThing, TrueThings
from seedbed.scoring.truth import Outlines, Pictures, Truth, spell
from seedbed.types import BACKGROUND, IGNORE, Size

NUMBERED = {  # per reader: the folder of PNG files with a number for every pixel, called as the images
    "davis": "Annotations",
    "folder": "instances",
    "shapes": "instances",
    "voc": "SegmentationObject",
}


@dataclass(frozen=True)
class ClassTruth:
    """True classes of images, each as one thing."""

    truth: Truth

    def key(self, image: str) -> str:
        """Identity of what is known of an image, unlike that of its things; empty where nothing is."""
        return f"classes {known}" if (known := self.truth.key(image)) else ""

    def only(self, images: Sequence[str]) -> ClassTruth:
        """That of some images."""
        return ClassTruth(self.truth.only(images))

    def __getitem__(self, image: str) -> TrueThings | None:
        """Classes of an indexed image as it is used, or None where they are not known."""
        labels = self.truth[image]
        if labels is None:
            return None
        found = [label for label in np.unique(labels).tolist() if label not in (BACKGROUND, IGNORE)]
        return TrueThings(tuple(TrueThing(labels == label, label) for label in found), labels == IGNORE)


@dataclass(frozen=True)
class InstanceTruth:
    """True things of images, by id."""

    WHAT: ClassVar[str] = "an instance mask"

    truth: Truth  # says their classes
    numbers: Pictures | None  # None where they are annotated one by one
    digests: dict[str, str] = field(default_factory=dict)  # of the files that were asked for, so that none changes unseen

    @classmethod
    def of(cls, truth: Truth, reader: str) -> InstanceTruth:
        """Those of the images of a truth.

        reader: which layout they have.
        """
        masks = truth.masks
        if isinstance(masks, Outlines):
            return cls(truth, None)
        folders = (NUMBERED[reader],) if reader in NUMBERED else ()
        return cls(truth, Pictures(masks.root, masks.images, folders, cls.WHAT))

    @classmethod
    def unread(cls, truth: Truth) -> InstanceTruth:
        """What nobody asks for."""
        return cls(truth, Pictures(Path(), "", ()))

    def key(self, image: str) -> str:
        """Identity of what is known of an image's things; empty where nothing is."""
        if self.numbers is None:
            return self.truth.key(image)
        digest = self._digest(self.numbers, image)
        return f"{digest} {self.truth.key(image)}" if digest else ""

    def only(self, images: Sequence[str]) -> InstanceTruth:
        """That of some images."""
        for image in images:
            self.key(image)
        return InstanceTruth(self.truth.only(images), self.numbers, {one: self.digests[one] for one in images if one in self.digests})

    def __getitem__(self, image: str) -> TrueThings | None:
        """True things of an indexed image as it is used, or None where they are not known."""
        original, size = self.truth.sizes[image]
        things = self.original(image, original)
        return things if things is None or size == original else things.shrink(size)

    def original(self, image: str, size: Size) -> TrueThings | None:
        """True things in the size of the image's file, or None where they are not known."""
        masks = self.truth.masks
        if isinstance(masks, Outlines):
            return self._annotated(masks, image, size)
        assert self.numbers is not None
        return self._numbered(self.numbers, image, size)

    def strays(self) -> list[str]:
        """Files that belong to none of the images, in layouts where every file should."""
        masks, numbers = self.truth.masks, self.numbers
        return numbers.strays(self.truth.files.values()) if numbers and isinstance(masks, Pictures) and masks.all_used else []

    def problem(self, image: str, size: Size) -> str:
        """What is wrong with what is known of an image's things, if its mask is right; empty where nothing is."""
        if self.numbers is None:  # the same annotations as the mask's
            return ""
        try:
            self.original(image, size)
        except DataError as error:
            return spell(error)
        return ""

    def _digest(self, numbers: Pictures, image: str) -> str:
        if image not in self.digests:
            self.digests[image] = numbers.digest(self.truth.files[image])
        return self.digests[image]

    def _annotated(self, masks: Outlines, image: str, size: Size) -> TrueThings | None:
        if not self.truth.key(image):
            return None
        void, things = np.zeros(size, np.bool_), []
        for one in masks.list(self.truth.files[image], size):
            label = int(self.truth.translate(image, np.array([one.category], np.uint8))[0])
            if label == IGNORE:
                void |= one.shape
            else:
                things.append(TrueThing(one.shape, label, one.crowd))
        for thing in things:
            void &= ~thing.shape
        return TrueThings(tuple(things), void)

    def _numbered(self, files: Pictures, image: str, size: Size) -> TrueThings | None:
        file = self.truth.files[image]
        numbers = files.read(file, size, self._digest(files, image))
        if numbers is None:
            return None
        labels = self.truth.original(image, size)
        if labels is None:
            expected = "a mask too, which says of what class each thing is"
            raise DataError(files.where(file), found="no mask beside it", expected=expected, do="add the mask, or remove the file")
        if self.truth.meaning[IGNORE] != IGNORE:  # values that mean no void tell nothing apart
            numbers = np.minimum(numbers, 1)
        void = (numbers == IGNORE) | (labels == IGNORE) | ((numbers == 0) & (labels != BACKGROUND))
        things = []
        for number in np.unique(numbers[(numbers > 0) & ~void]).tolist():
            shape = (numbers == number) & ~void
            label = int(np.bincount(labels[shape]).argmax())
            if label == BACKGROUND:
                expected = "a class of the mask beneath each thing"
                raise DataError(files.where(file), found=f"thing {number} on background", expected=expected, do="correct one of the two")
            things.append(TrueThing(shape, label))
        return TrueThings(tuple(things), void)
