"""The images of a data set that are learned from, alone or with their labels and maps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import overload

from seedbed.images import Images
from seedbed.learning.augmentation import Sample
from seedbed.reads import Labels, read_entry
from seedbed.store.artifact import Artifact
from seedbed.types import Image


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
