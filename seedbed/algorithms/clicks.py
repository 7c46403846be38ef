"""Clicks on an image, and the regions of a merge tree that lie below and around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed.algorithms.ward import Indices, MergeTree, read_from_grid
from seedbed.types import Alignment, PatchFeatures, Size

Mask = npt.NDArray[np.bool_]  # (y, x)


class Click(NamedTuple):
    """A pixel of which somebody says whether it is of what is wanted."""

    row: int
    column: int
    wanted: bool


Answer = Callable[[Sequence[Click]], Mask]  # what is selected by all clicks that were made so far; asked after each of them


@dataclass(frozen=True)
class ClickTree:
    """Regions of all sizes of an image. Patches come in such an order that each region is a run of them."""

    tree: MergeTree
    patches: Indices  # (y, x): of every pixel

    @classmethod
    def on_pixels(cls, tree: MergeTree, grid: Size, patch_size: int, alignment: Alignment, size: Size) -> ClickTree:
        """The tree of a grid of patches on an image of some size."""
        lying = PatchFeatures(np.zeros((*grid, 0), np.float32), patch_size, alignment)
        return cls(tree, lying.on_pixels(np.arange(tree.num_vectors, dtype=np.int32).reshape(grid), size))

    @classmethod
    def of_maps(cls, children: Indices, costs: npt.NDArray[np.floating], patch_size: int, alignment: str, size: Size) -> ClickTree:
        """The tree that maps of the grid hold, as the stage `trees` leaves them."""
        return cls.on_pixels(read_from_grid(children, costs), (costs.shape[0], costs.shape[1]), patch_size, Alignment(alignment), size)

    @cached_property
    def sizes(self) -> Indices:
        """Patches of every region."""
        return np.concatenate([np.ones(self.tree.num_vectors, np.int32), self.tree.sizes])

    @cached_property
    def parents(self) -> Indices:
        """Which region each is merged into; the whole into none, -1."""
        parents = np.full(len(self.sizes), -1, np.int32)
        made = self.tree.num_vectors + np.arange(len(self.tree.children), dtype=np.int32)
        parents[self.tree.children] = made[:, None]
        return parents

    @cached_property
    def firsts(self) -> Indices:
        """The place of each region's first patch in the order."""
        firsts, sizes = [0] * len(self.sizes), self.sizes.tolist()
        for merge, (one, other) in reversed([*enumerate(self.tree.children.tolist(), start=self.tree.num_vectors)]):
            firsts[one] = firsts[merge]
            firsts[other] = firsts[merge] + sizes[one]
        return np.array(firsts, np.int32)

    def climb(self, patch: int) -> Iterator[int]:
        """Regions around a patch, from itself to the whole."""
        region = patch
        while region >= 0:
            yield region
            region = int(self.parents[region])

    def holds(self, region: int, patches: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which patches are of a region."""
        places = self.firsts[np.asarray(patches, np.int32)] - self.firsts[region]
        return np.asarray((places >= 0) & (places < self.sizes[region]))

    def mask(self, regions: Sequence[int]) -> Mask:
        """Pixels of some regions."""
        chosen = np.zeros(self.tree.num_vectors, np.bool_)
        patches = np.arange(self.tree.num_vectors)
        for region in regions:
            chosen |= self.holds(region, patches)
        return chosen[self.patches]

    def count(self, pixels: Mask) -> npt.NDArray[np.int64]:
        """How many of some pixels each region has."""
        counts = np.zeros(len(self.sizes), np.int64)
        counts[: self.tree.num_vectors] = np.bincount(self.patches[pixels], minlength=self.tree.num_vectors)
        for merge, (one, other) in enumerate(self.tree.children.tolist(), start=self.tree.num_vectors):
            counts[merge] = counts[one] + counts[other]
        return counts
