"""Converts what artifacts hold to the types that methods take, and back.

It alone rounds, pads and cuts what is stored, so it is part of every stage's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from seedbed.detected import DetectedMaps
from seedbed.images import Images
from seedbed.store import schemas
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import SPATIAL, Array, Columns
from seedbed.types import (
    BACKGROUND,
    Alignment,
    CellEdges,
    ClassMaps,
    Evidence,
    Image,
    Instances,
    LabelMap,
    LinearHead,
    PatchFeatures,
    Probabilities,
    RegionMap,
    Size,
)

K = TypeVar("K", bound="Keyed")

# For writing.


def encode(arrays: Mapping[str, Array], columns: Columns) -> dict[str, npt.NDArray[Any]]:
    """Columns of an image in the types of their arrays."""
    return {name: np.asarray(value, object if arrays[name].dtype == "str" else arrays[name].dtype) for name, value in columns.items()}


def pad(spec: Array, entries: Sequence[npt.NDArray[Any]], shape: Sequence[int]) -> npt.NDArray[Any]:
    """Put entries of different extents into one block."""
    block = np.full(shape, spec.fill, spec.dtype)
    for place, entry in enumerate(entries):
        corner: Any = (place, *(slice(0, length) for length in entry.shape))
        block[corner] = entry
    return block


# For reading.


def cut(spec: Array, entry: npt.NDArray[Any], extent: npt.ArrayLike) -> npt.NDArray[Any]:
    """An entry without its padding; it may lack leading dimensions that have been indexed.

    extent: true height and width.
    """
    height, width = (int(length) for length in np.asarray(extent))
    axis = next(index for index, name in enumerate(spec.dimensions) if name in SPATIAL) - (len(spec.dimensions) - entry.ndim)
    return np.asarray(entry[(slice(None),) * axis + (slice(0, height), slice(0, width))])


def cut_columns(arrays: Mapping[str, Array], columns: Columns) -> dict[str, npt.NDArray[Any]]:
    """Columns of an image without their padding."""
    return {
        name: cut(arrays[name], value, columns[arrays[name].extent]) if arrays[name].extent else value for name, value in columns.items()
    }


def read_entry(artifact: Artifact, name: str, image_id: str) -> npt.NDArray[Any]:
    """An image's entry of an array, cut to its true extent."""
    row = artifact.row(image_id)
    return _cut(artifact, name, row, artifact.entry(name, row))


def read_patches(artifact: Artifact, image_id: str) -> PatchFeatures:
    """Features of an image."""
    values = read_entry(artifact, "patches", image_id).astype(np.float32)
    return PatchFeatures(values, int(artifact.array("patch_size")), Alignment(str(artifact.array("alignment"))))


class Keyed(Protocol):
    """What is known of images, each of which has an identity."""

    def key(self, image_id: str) -> str:
        """Identity of what is known of an image."""


@dataclass(frozen=True)
class MaybeRead(Generic[K]):
    """Something of images that a method may not look at; then there is no source."""

    source: K | None

    def key(self, image_id: str) -> str:
        """Identity of what is read of an image; empty where nothing is."""
        return "" if self.source is None else self.source.key(image_id)


class Patches(MaybeRead[Artifact]):
    """Features of images."""

    def __getitem__(self, image_id: str) -> PatchFeatures:
        """Features of an image; without channels if there are none."""
        return PatchFeatures.empty() if self.source is None else read_patches(self.source, image_id)


@dataclass(frozen=True)
class Views:
    """Features of images, one entry for each kind; none for a method that uses none."""

    features: Sequence[Artifact]

    def key(self, image_id: str) -> str:
        """Identity of all features of an image; empty if there are none."""
        return " ".join(each.key(image_id) for each in self.features)

    def __getitem__(self, image_id: str) -> list[PatchFeatures]:
        """Features of an image, by each kind."""
        return [read_patches(each, image_id) for each in self.features]


@dataclass(frozen=True)
class TrainedHead:
    """The linear layer that a classifier has learned on features."""

    classifier: Artifact
    device: str = "cpu"  # where it is used

    def key(self, image_id: str) -> str:
        """Identity of its weights, the same for all images."""
        return self.classifier.weights_digest

    def load(self) -> LinearHead:
        """The layer."""
        return LinearHead(**self.classifier.weights())


class Regions(MaybeRead[Artifact]):
    """Superpixels of images."""

    def of(self, image_id: str, size: Size) -> RegionMap:
        """Superpixels of an image; all of it is one if there are none.

        size: of the image.
        """
        return np.zeros(size, np.int32) if self.source is None else read_entry(self.source, "regions", image_id)


class PixelLabels(MaybeRead[Artifact]):
    """A class for every pixel of images."""

    def of(self, image_id: str, size: Size) -> LabelMap:
        """Labels of an image; background everywhere if there are none.

        size: of the image.
        """
        return np.full(size, BACKGROUND, np.uint8) if self.source is None else read_labels(self.source, image_id)


class Pictures(MaybeRead[Images]):
    """Images themselves."""

    def __getitem__(self, image_id: str) -> Image:
        """An image; without pixels if it is not looked at."""
        return np.zeros((0, 0, 3), np.uint8) if self.source is None else self.source[image_id]


class Detected(MaybeRead[DetectedMaps]):
    """What a detector has said of images."""

    def of(self, image_id: str, size: Size) -> npt.NDArray[np.float32]:
        """A map of an image, in [0, 1]; all 0 if there are none.

        size: of the image.
        """
        return np.zeros(size, np.float32) if self.source is None else self.source[image_id]

    def only(self, image_ids: Sequence[str]) -> Detected:
        """The same for some of the images alone."""
        return Detected(None if self.source is None else self.source.only(image_ids))

    def check(self, image_ids: Sequence[str]) -> None:
        """Refuse the maps of images if one cannot be used."""
        if self.source is not None:
            self.source.check(image_ids)


class Edges(MaybeRead[Artifact]):
    """What links the cells of images."""

    def __getitem__(self, image_id: str) -> CellEdges:
        """Edges of an image; of one cell if there are none."""
        if self.source is None:
            return CellEdges.empty()
        boundaries, displacement, distances = (
            read_entry(self.source, name, image_id).astype(np.float32) for name in ("boundaries", "displacement", "distances")
        )
        return CellEdges(boundaries, displacement, distances, int(self.source.array("cell_size")))


class Maps(MaybeRead[Artifact]):
    """Class maps of images."""

    def __getitem__(self, image_id: str) -> ClassMaps:
        """Class maps of an image; of no class if there are none."""
        return ClassMaps.empty() if self.source is None else read_class_maps(self.source, image_id)


@dataclass(frozen=True)
class AllEvidence:
    """What is known of images whose pixels are to be labelled."""

    data: Artifact  # the data set
    images: Pictures
    class_maps: Maps
    regions: Regions
    patches: Patches
    edges: Edges

    def key(self, image_id: str) -> str:
        """Identity of all that is known of an image."""
        parts = (self.images, self.class_maps, self.regions, self.patches, self.edges)
        return " ".join(one.key(image_id) for one in parts)

    def __getitem__(self, image_id: str) -> Evidence:
        """What is known of an image."""
        regions = self.regions.of(image_id, self.data.size(image_id))
        return Evidence(self.images[image_id], self.class_maps[image_id], regions, self.patches[image_id], self.edges[image_id])


def read_class_maps(artifact: Artifact, image_id: str) -> ClassMaps:
    """Class maps of an image, at the resolution in which they are stored."""
    row = artifact.row(image_id)
    classes = tuple(int(one) for one in np.flatnonzero(artifact.array("present")[row]))
    height, width = artifact.array("map_size")[row]
    maps = np.zeros((len(classes), height, width), np.float32)
    for index, one in enumerate(classes):
        maps[index] = _cut(artifact, "maps", row, artifact.entry("maps", (row, one)))
    return ClassMaps(classes=classes, maps=maps)


def read_instances(artifact: Artifact, image_id: str) -> Instances:
    """Things of an image."""
    row = artifact.row(image_id)
    count = int(artifact.array("thing_count")[row])
    classes, scores = (artifact.array(name)[row, :count].tolist() for name in ("classes", "scores"))
    return Instances(read_entry(artifact, "things", image_id), tuple(classes), tuple(scores))


def list_columns(made: Instances, *, most: int) -> dict[str, Any]:
    """Columns of an image's things.

    most: things that an image has at most, to which lists of them are padded.
    """
    classes, scores = np.zeros(most, np.uint8), np.zeros(most, np.float32)
    classes[: len(made.classes)], scores[: len(made.scores)] = made.classes, made.scores
    return {"things": made.things, "thing_count": len(made.classes), "classes": classes, "scores": scores}


def read_probabilities(artifact: Artifact, image_id: str) -> Probabilities:
    """A segmenter's output for an image, at the resolution in which it is stored."""
    return Probabilities.of_parts(read_entry(artifact, "probabilities", image_id))


def read_labels(artifact: Artifact, image_id: str) -> LabelMap:
    """A class for every pixel of an image: as it is stored or, of a segmenter's output, the likeliest."""
    if "probabilities" in artifact.schema.arrays:
        return read_probabilities(artifact, image_id).resize(artifact.size(image_id)).labels
    return read_entry(artifact, "labels", image_id)


def read_shards(artifact: Artifact, name: str) -> Iterator[npt.NDArray[Any]]:
    """Read an array with an entry per image, a shard at a time."""
    for start in range(0, len(artifact), schemas.SHARD_IMAGES):
        yield artifact.entry(name, slice(start, start + schemas.SHARD_IMAGES))


def read_total(artifact: Artifact, name: str, *, rows: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
    """Sum of an array of counts over all images, with at most one shard in memory.

    rows: whether each image counts, if not all do.
    """
    total = np.zeros(artifact.entry(name, slice(0, 0)).shape[1:], np.int64)
    first = 0
    for shard in read_shards(artifact, name):
        total += shard.sum(axis=0) if rows is None else shard[rows[first : first + len(shard)]].sum(axis=0)
        first += len(shard)
    return total


@dataclass(frozen=True)
class Labels:
    """Image-level labels of a data set."""

    data: Artifact

    def key(self, image_id: str) -> str:
        """Identity of an image's labels."""
        row = self.data.row(image_id)
        return "".join("01"[int(one)] for one in self.data.array("labels")[row]) if self.data.array("labelled")[row] else "unknown"

    def get(self, image_id: str) -> tuple[int, ...] | None:
        """Classes that an image contains, without background; None if it has no labels."""
        return self[image_id] if self.data.array("labelled")[self.data.row(image_id)] else None

    def __getitem__(self, image_id: str) -> tuple[int, ...]:
        """Classes that an image contains, without background."""
        return tuple(int(one) for one in np.flatnonzero(self.data.array("labels")[self.data.row(image_id)]) if one != BACKGROUND)


def _cut(artifact: Artifact, name: str, row: int, entry: npt.NDArray[Any]) -> npt.NDArray[Any]:
    spec = artifact.schema.arrays[name]
    return cut(spec, entry, artifact.array(spec.extent)[row]) if spec.extent else entry
