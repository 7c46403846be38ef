"""Trees: regions of all sizes of each image, from its patches to the whole of it, each made of two smaller ones."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from seedbed import methods
from seedbed.algorithms.ward import MergeTree
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import PatchFeatures


@parameters
class Settings:
    """What regions are made from."""

    features: Annotated[str, Slot(("features",))]  # by which patches are merged


class Method(methods.Method):
    """A tree of the patches of one image."""

    @abstractmethod
    def merge(self, patches: PatchFeatures) -> MergeTree:
        """Merges of patches that are counted row by row, until one region is left."""
