"""The images of a data set that are learned from: alone, with their labels and maps, or as features with labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from seedbed.images import Images
from seedbed.learning.augmentation import Sample
from seedbed.reads import Labels, read_entry, read_patches
from seedbed.store.artifact import Artifact
from seedbed.types import Image, PatchFeatures


class ImageSequence(Sequence[Image]):
    """Images alone, read one at a time."""

    def __init__(self, images: Images, ids: Sequence[str]) -> None:
        self._images, self._ids = images, ids

    def key(self, image_id: str) -> str:
        """Identity of all images in their order, the same for every `image_id`: a training depends on all of them."""
        return hashlib.sha256("\n".join(self._images.key(each) for each in self._ids).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        return ImageSequence(self._images, self._ids[index]) if isinstance(index, slice) else self._images[self._ids[index]]


@dataclass(frozen=True)
class Described:
    """One image to learn from, by its features."""

    patches: PatchFeatures
    labels: npt.NDArray[np.bool_]  # (class,): whether the image contains it; background, at 0, is always true


class DescribedSamples(Sequence[Described]):
    """Features of images with their labels, read one at a time."""

    def __init__(self, data: Artifact, features: Artifact, ids: Sequence[str]) -> None:
        self._data, self._features, self._ids = data, features, ids

    def key(self, image_id: str) -> str:
        """Identity of all samples in their order, the same for every `image_id`: a solution depends on all of them."""
        labels = Labels(self._data)
        lines = [f"{self._features.key(each)} {labels.key(each)}\n" for each in self._ids]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Described: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Described]: ...
    def __getitem__(self, index: int | slice) -> Described | Sequence[Described]:
        if isinstance(index, slice):
            return DescribedSamples(self._data, self._features, self._ids[index])
        image_id = self._ids[index]
        return Described(read_patches(self._features, image_id), self._data.array("labels")[self._data.row(image_id)])


class Samples(Sequence[Sample]):
    """Images with their labels and maps, read one at a time."""

    def __init__(self, data: Artifact, images: Images, ids: Sequence[str], *, maps: Mapping[str, Artifact]) -> None:
        """maps: artifact that holds each map, by the name of its array."""
        self._data, self._images, self._ids, self._maps = data, images, ids, maps

    def key(self, image_id: str) -> str:
        """Identity of all samples in their order, the same for every `image_id`: a training depends on all of them."""
        labels, digest = Labels(self._data), hashlib.sha256()
        for each in self._ids:
            maps = [f"{name} {artifact.key(each)}" for name, artifact in sorted(self._maps.items())]
            digest.update(" ".join([self._images.key(each), labels.key(each), *maps]).encode() + b"\n")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Samples(self._data, self._images, self._ids[index], maps=self._maps)
        image_id = self._ids[index]
        return Sample(
            image=self._images[image_id],
            labels=self._data.array("labels")[self._data.row(image_id)],
            maps={name: read_entry(artifact, name, image_id) for name, artifact in self._maps.items()},
            padding={name: int(artifact.schema.arrays[name].fill) for name, artifact in self._maps.items()},
        )
