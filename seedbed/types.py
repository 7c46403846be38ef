"""The types that pass between steps. The axis order is fixed: image (y, x, rgb), maps (class, y, x)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

BACKGROUND_NAME = "background"
BACKGROUND = 0  # classes are 1..K
OBJECT = 1  # where something is, whatever it is
IGNORE = 255  # a pixel without a label
PARTS = 255  # a probability of 1, where probabilities are stored in bytes

Image: TypeAlias = npt.NDArray[np.uint8]  # (y, x, rgb)
LabelMap: TypeAlias = npt.NDArray[np.uint8]  # (y, x): class of every pixel, 0 background, 255 ignore
RegionMap: TypeAlias = npt.NDArray[np.int32]  # (y, x): region of every pixel, 0..n-1, each of them used
ConfidenceMap: TypeAlias = npt.NDArray[np.uint8]  # (y, x): how sure every pixel's label is, 0..255
Size: TypeAlias = tuple[int, int]  # height, width
Entry = TypeVar("Entry", bound=np.generic)


def cells(size: Size, edge: int) -> Size:
    """Rows and columns of squares that cover an image; the last ones may reach beyond its border.

    edge: of a square, in pixels.
    """
    height, width = size
    return -(-height // edge), -(-width // edge)


class Alignment(StrEnum):
    """How an image was adapted to whole patches if its sides are not multiples of the patch size."""

    RESIZED = "resized"  # all patches cover equal parts of the image
    PADDED = "padded"  # the last row and column reach beyond its lower and right border


@dataclass(frozen=True)
class PatchFeatures:
    """One vector per square patch of an image, and how the patches lie on it.

    There are just enough rows and columns to cover the image.
    """

    values: npt.NDArray[np.float32]  # (patch_y, patch_x, channel)
    patch_size: int  # edge, in pixels of the image, which may have been resized or padded to a whole number of patches
    alignment: Alignment

    @classmethod
    def empty(cls) -> PatchFeatures:
        """Nothing of one patch, for a method that does not look at features."""
        return cls(np.zeros((1, 1, 0), np.float32), 1, Alignment.PADDED)

    def on_pixels(self, entries: npt.NDArray[Entry], size: Size) -> npt.NDArray[Entry]:
        """Turn a map of patches into one of pixels: each pixel takes the entry of the patch that contains its centre.

        entries: (patch_y, patch_x).
        size: of the image.
        """
        if entries.shape != self.values.shape[:2] or entries.shape != cells(size, self.patch_size):
            raise ValueError(f"patches of {self.patch_size} pixels in a grid of {entries.shape} do not cover an image of {size}")
        rows, columns = (self._locate_pixels(count, length) for count, length in zip(entries.shape, size, strict=True))
        return entries[np.ix_(rows, columns)]

    def resample(self, maps: npt.NDArray[np.float32], size: Size, grid: Size) -> npt.NDArray[np.float32]:
        """Bring maps of patches (map, patch_y, patch_x) to a grid of cells that cover equal parts of the image, bilinear.

        size: of the image; grid: rows and columns.
        """
        rows, columns = self.interpolation(size, grid)
        return np.asarray(rows @ maps @ columns.T, np.float32)

    def interpolation(self, size: Size, grid: Size) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What each row of cells takes of rows of patches (cell, patch), and each column of columns: `resample` as two matrices."""
        rows, columns = (
            self._interpolate(count, length, patches) for count, length, patches in zip(grid, size, self.values.shape[:2], strict=True)
        )
        return rows, columns

    def _interpolate(self, count: int, length: int, patches: int) -> npt.NDArray[np.float32]:
        """What each row or column of patches has to do with those of cells (cell, patch)."""
        covered = length / self.patch_size if self.alignment is Alignment.PADDED else patches
        centres = np.clip((np.arange(count) + 0.5) / count * covered - 0.5, 0, patches - 1)  # of cells, from the first centre of patches on
        return np.asarray(np.maximum(0, 1 - abs(centres[:, None] - np.arange(patches))), np.float32)

    def _locate_pixels(self, count: int, length: int) -> npt.NDArray[np.int64]:
        """For every row or column of pixels, the row or column of the grid that contains it."""
        pixels = np.arange(length)
        if self.alignment is Alignment.PADDED:
            return pixels // self.patch_size
        return (2 * pixels + 1) * count // (2 * length)  # by the pixel's centre, in integers


@dataclass(frozen=True)
class LinearHead:
    """A linear layer that says which classes the vectors of patches speak for; class c is at index c - 1."""

    weight: npt.NDArray[np.float32]  # (class, channel)
    offset: npt.NDArray[np.float32]  # (class,)

    def score(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (..., class) of vectors (..., channel)."""
        return np.asarray(values @ self.weight.T + self.offset, np.float32)


@dataclass(frozen=True)
class ClassMaps:
    """Scores in [0, 1] of the classes that an image is known to contain."""

    classes: tuple[int, ...]  # in the data set's numbering, ascending, never 0
    maps: npt.NDArray[np.float32]  # (class, y, x), one map per entry of classes

    @classmethod
    def empty(cls) -> ClassMaps:
        """Maps of no class, for a method that does not look at them."""
        return cls((), np.zeros((0, 1, 1), np.float32))

    @property
    def names(self) -> npt.NDArray[np.uint8]:
        """Background and the classes."""
        return np.array([BACKGROUND, *self.classes], np.uint8)

    def resize(self, size: Size) -> ClassMaps:
        """The same maps at another size, bilinear."""
        height, width = size
        if self.maps.shape[1:] == size:
            return self
        maps = np.empty((len(self.classes), height, width), np.float32)
        for index, single in enumerate(self.maps):
            maps[index] = cv2.resize(single, (width, height), interpolation=cv2.INTER_LINEAR)
        return ClassMaps(classes=self.classes, maps=maps)

    def add_background(self, power: float) -> npt.NDArray[np.float32]:
        """Scores of background and the classes: background is 1 minus the strongest map, to a power."""
        background = (1.0 - self.maps.max(axis=0)) ** power
        return np.concatenate([background[None], self.maps]).astype(np.float32)

    def present(self, num_classes: int) -> npt.NDArray[np.bool_]:
        """For every class, whether there is a map."""
        return np.isin(np.arange(1 + num_classes), self.classes)

    def spread(self, num_classes: int) -> npt.NDArray[np.float32]:
        """One map for every class. Those of background and absent classes are 0."""
        spread = np.zeros((1 + num_classes, *self.maps.shape[1:]), np.float32)
        spread[list(self.classes)] = self.maps
        return spread


@dataclass(frozen=True)
class CellEdges:
    """How strongly neighbouring cells of an image belong together; cells are squares, of which the last may reach beyond its border."""

    boundaries: npt.NDArray[np.float32]  # (y, x), in [0, 1]: how surely something ends at the cell
    displacement: npt.NDArray[np.float32]  # (2, y, x): rows and columns from the cell to the middle of its thing; 0 if not learned
    distances: npt.NDArray[np.float32]  # (pair, y, x): of the cell's features from those at each of `list_offsets`; no pair if not learned
    stride: int  # pixels per cell

    @classmethod
    def empty(cls) -> CellEdges:
        """Nothing of one cell, for a method that does not look at edges."""
        return cls(np.zeros((1, 1), np.float32), np.zeros((2, 1, 1), np.float32), np.zeros((0, 1, 1), np.float32), 1)


@dataclass(frozen=True)
class Instances:
    """Things of an image, told apart. None of them overlap."""

    things: npt.NDArray[np.uint8]  # (y, x): number of the thing that the pixel is of, from 1; 0 is of none
    classes: tuple[int, ...]  # of each thing, in the order of their numbers
    scores: tuple[float, ...]  # how sure each is, descending

    @classmethod
    def empty(cls, size: Size) -> Instances:
        """No thing, for an image that contains no class."""
        return cls(np.zeros(size, np.uint8), (), ())


@dataclass(frozen=True)
class Saliency:
    """Where in an image something is, whatever it is."""

    scores: npt.NDArray[np.float32]  # (y, x), in [0, 1]: how surely something is there
    objects: npt.NDArray[np.uint8]  # (y, x): 1 where something is, 0 where nothing is, 255 where that is unknown

    @classmethod
    def empty(cls, size: Size) -> Saliency:
        """Nothing known of any pixel."""
        return cls(np.zeros(size, np.float32), np.full(size, IGNORE, np.uint8))

    @property
    def parts(self) -> npt.NDArray[np.uint8]:
        """The scores as bytes, in which 255 is 1."""
        return np.rint(PARTS * self.scores).astype(np.uint8)


@dataclass(frozen=True)
class Evidence:
    """What is known of an image whose pixels are to be labelled. Methods say what they do not look at, which is then left out."""

    image: Image  # without pixels if it is left out
    class_maps: ClassMaps  # as they are stored, at a lower resolution
    regions: RegionMap  # of the image's size; all of it is one if they are left out
    patches: PatchFeatures  # without channels if they are left out
    edges: CellEdges  # of one cell if they are left out

    @property
    def size(self) -> Size:
        """Of the image."""
        return self.regions.shape[0], self.regions.shape[1]

    @cached_property
    def maps(self) -> ClassMaps:
        """Class maps of the image's size."""
        return self.class_maps.resize(self.size)


@dataclass(frozen=True)
class PseudoMask:
    """A label for every pixel, and its confidence."""

    labels: LabelMap
    confidence: ConfidenceMap  # 0 where there is no label

    @classmethod
    def of(cls, labels: LabelMap, probabilities: npt.NDArray[np.float32]) -> PseudoMask:
        """From labels and their probabilities (y, x), in [0, 1]."""
        return cls(labels, np.asarray(np.where(labels == IGNORE, 0, np.rint(PARTS * probabilities)), np.uint8))

    @classmethod
    def likeliest(cls, class_maps: ClassMaps, probabilities: npt.NDArray[np.float32]) -> PseudoMask:
        """The likeliest of background and an image's classes, from their probabilities (label, y, x)."""
        return cls.of(class_maps.names[probabilities.argmax(axis=0)], probabilities.max(axis=0))

    def rank_by(self, margins: npt.NDArray[np.float32]) -> PseudoMask:
        """The same labels; the confidence of a pixel is the share of its label's pixels whose margin is no larger than its own.

        Shares are rounded to bytes, a half down: of n pixels with different margins, the best n / 2 are above a half, rounded up.

        margins: (y, x), in any unit.
        """
        confidence = np.zeros(self.labels.shape, np.uint8)
        for label in np.setdiff1d(self.labels, IGNORE):
            inside = self.labels == label
            own = margins[inside]
            no_larger = np.searchsorted(np.sort(own), own, side="right")
            confidence[inside] = -((len(own) - 2 * PARTS * no_larger) // (2 * len(own)))  # in integers, hence exact
        return PseudoMask(self.labels, confidence)

    @classmethod
    def empty(cls, size: Size) -> PseudoMask:
        """Certain background everywhere, for an image that contains no class."""
        return cls(np.full(size, BACKGROUND, np.uint8), np.full(size, PARTS, np.uint8))


@dataclass(frozen=True)
class Probabilities:
    """A segmenter's output: one map per class, background first, with a sum of 1 at every pixel."""

    maps: npt.NDArray[np.float32]  # (class, y, x)

    @classmethod
    def of_parts(cls, parts: npt.NDArray[np.uint8]) -> Probabilities:
        """From bytes, in which 255 is a probability of 1."""
        return cls(maps=parts.astype(np.float32) / np.float32(PARTS))

    @property
    def parts(self) -> npt.NDArray[np.uint8]:
        """The maps as bytes, in which 255 is a probability of 1. Their sums differ from 255 by rounding."""
        return np.rint(PARTS * self.maps).astype(np.uint8)

    @property
    def labels(self) -> LabelMap:
        """The likeliest class of every pixel; of equals the first."""
        return np.asarray(self.maps.argmax(axis=0), np.uint8)

    def resize(self, size: Size) -> Probabilities:
        """The same maps at another size, bilinear."""
        height, width = size
        maps = [cv2.resize(single, (width, height), interpolation=cv2.INTER_LINEAR) for single in self.maps]
        return Probabilities(maps=np.stack(maps).astype(np.float32))
