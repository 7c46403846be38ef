"""The training images of a data set, alone or with whatever maps are learned along with them."""

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
    """Reads one image at a time, and nothing that is known of it."""

    def __init__(self, pictures: Images, ids: Sequence[str]) -> None:
        self._pictures, self._ids = pictures, ids

    def key(self, image: str) -> str:
        """Identity of all images in their order, whatever image is asked for: a training depends on all of them."""
        return hashlib.sha256("\n".join(self._pictures.key(one) for one in self._ids).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        return ImageSequence(self._pictures, self._ids[index]) if isinstance(index, slice) else self._pictures[self._ids[index]]


class Samples(Sequence[Sample]):
    """Reads one sample at a time."""

    def __init__(self, data: Artifact, pictures: Images, ids: Sequence[str], *, maps: Mapping[str, Artifact]) -> None:
        """maps: array of pixels -> the artifact that holds it."""
        self._data, self._pictures, self._ids, self._maps = data, pictures, ids, maps

    def key(self, image: str) -> str:
        """Identity of all samples in their order, whatever image is asked for: a training depends on all of them."""
        labels, content = Labels(self._data), hashlib.sha256()
        for one in self._ids:
            maps = [f"{name} {artifact.key(one)}" for name, artifact in sorted(self._maps.items())]
            content.update(" ".join([self._pictures.key(one), labels.key(one), *maps]).encode() + b"\n")
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Samples(self._data, self._pictures, self._ids[index], maps=self._maps)
        image = self._ids[index]
        return Sample(
            image=self._pictures[image],
            labels=self._data.array("labels")[self._data.row(image)],
            maps={name: read_entry(artifact, name, image) for name, artifact in self._maps.items()},
            padding={name: int(artifact.schema.arrays[name].fill) for name, artifact in self._maps.items()},
        )
