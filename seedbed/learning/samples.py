"""The images of a data set that are learned from: alone, with their labels and maps, or as features with labels."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch

from seedbed.images import Images
from seedbed.learning.augmentation import Map, Sample
from seedbed.networks.contracts import State
from seedbed.reads import Labels, read_entry, read_patches
from seedbed.store.artifact import Artifact
from seedbed.types import Image, PatchFeatures

T = TypeVar("T")


class Entries(Sequence[T], ABC):
    """Entries that are read when they are asked for, and not kept."""

    @abstractmethod
    def read(self, place: int) -> T:
        """The entry at a place, 0 or more."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        places = range(len(self))[index]
        return self.read(places) if isinstance(places, int) else [self.read(place) for place in places]


class ImageSequence(Entries[Image]):
    """Images alone, read one at a time."""

    def __init__(self, images: Images, ids: Sequence[str]) -> None:
        self._images, self._ids = images, ids

    def key(self, image_id: str) -> str:
        """Identity of all images in their order, the same for every `image_id`: a training depends on all of them."""
        return hashlib.sha256("\n".join(self._images.key(each) for each in self._ids).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, place: int) -> Image:
        return self._images[self._ids[place]]


@dataclass(frozen=True)
class Described:
    """One image to learn from, by its features."""

    patches: PatchFeatures
    labels: npt.NDArray[np.bool_]  # (class,): whether the image contains it; background, at 0, is always true
    maps: Mapping[str, Map]  # maps of the image's size, by name


class DescribedSamples(Entries[Described]):
    """Features of images with their labels and maps, read one at a time. Each kind of features gives a sample of its own."""

    def __init__(self, data: Artifact, features: Sequence[Artifact], ids: Sequence[str], *, maps: Mapping[str, Artifact]) -> None:
        """maps: artifact that holds each map, by the name of its array."""
        self._data, self._features, self._ids, self._maps = data, features, ids, maps

    def key(self, image_id: str) -> str:
        """Identity of all samples in their order, the same for every `image_id`: what is learned depends on all of them."""
        return _digest(self._data, self._ids, self._features, self._maps)

    def __len__(self) -> int:
        return len(self._ids) * len(self._features)

    def read(self, place: int) -> Described:
        image_id, features = self._ids[place // len(self._features)], self._features[place % len(self._features)]
        return Described(
            patches=read_patches(features, image_id),
            labels=self._data.array("labels")[self._data.row(image_id)],
            maps={name: read_entry(artifact, name, image_id) for name, artifact in self._maps.items()},
        )


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and deviation of each channel of features, over all patches of some images."""

    features: Artifact
    ids: Sequence[str]

    def key(self, image_id: str) -> str:
        """Their identity, the same for every `image_id`."""
        return hashlib.sha256(" ".join(map(self.features.key, self.ids)).encode()).hexdigest()

    def state(self) -> State:
        """`mean` and `deviation`, both (channel,)."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for each in self.ids:
            values = read_patches(self.features, each).values.astype(np.float64)
            flat = values.reshape(-1, values.shape[-1])
            count, total, squares = count + len(flat), total + flat.sum(axis=0), squares + (flat**2).sum(axis=0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return {"mean": torch.from_numpy(mean).float(), "deviation": torch.from_numpy(deviation).float()}


class Samples(Entries[Sample]):
    """Images with their labels and maps, read one at a time."""

    def __init__(self, data: Artifact, images: Images, ids: Sequence[str], *, maps: Mapping[str, Artifact]) -> None:
        """maps: artifact that holds each map, by the name of its array."""
        self._data, self._images, self._ids, self._maps = data, images, ids, maps

    def key(self, image_id: str) -> str:
        """Identity of all samples in their order, the same for every `image_id`: a training depends on all of them."""
        return _digest(self._data, self._ids, [self._images], self._maps)

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, place: int) -> Sample:
        image_id = self._ids[place]
        return Sample(
            image=self._images[image_id],
            labels=self._data.array("labels")[self._data.row(image_id)],
            maps={name: read_entry(artifact, name, image_id) for name, artifact in self._maps.items()},
            padding={name: int(artifact.schema.arrays[name].fill) for name, artifact in self._maps.items()},
        )


def _digest(data: Artifact, ids: Sequence[str], seen: Sequence[Images | Artifact], maps: Mapping[str, Artifact]) -> str:
    """Identity of what is read of images: of what is seen of them, of their labels and of maps, by name."""
    labels, digest = Labels(data), hashlib.sha256()
    for each in ids:
        keys = [f"{name} {artifact.key(each)}" for name, artifact in sorted(maps.items())]
        digest.update(" ".join([*(one.key(each) for one in seen), labels.key(each), *keys]).encode() + b"\n")
    return digest.hexdigest()
