"""Images with their merge trees, from which somebody may want to select any region."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.algorithms.clicks import ClickTree
from seedbed.images import Images
from seedbed.learning.samples import Entries
from seedbed.merge_trees import Trees
from seedbed.types import Image


@dataclass(frozen=True)
class TreeSample:
    """One image to learn from."""

    image: Image
    regions: ClickTree


class TreeSamples(Entries[TreeSample]):
    """Images and their trees, read one at a time."""

    def __init__(self, images: Images, trees: Trees, ids: Sequence[str]) -> None:
        self._images, self._trees, self._ids = images, trees, ids

    def key(self, image_id: str) -> str:
        """Identity of all samples in their order, the same for every `image_id`: a training depends on all of them."""
        keys = (f"{self._images.key(each)} {self._trees.key(each)}" for each in self._ids)
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, place: int) -> TreeSample:
        image = self._images[self._ids[place]]
        return TreeSample(image, self._trees.of(self._ids[place], (image.shape[0], image.shape[1])))
