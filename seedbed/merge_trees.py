"""Regions of all sizes of images, read from the artifact that holds them."""

from __future__ import annotations

import numpy as np

from seedbed.algorithms.clicks import ClickTree
from seedbed.algorithms.ward import MergeTree
from seedbed.reads import MaybeRead, read_entry
from seedbed.store.artifact import Artifact
from seedbed.types import Alignment, Size


class Trees(MaybeRead[Artifact]):
    """Regions of images."""

    def of(self, image_id: str, size: Size) -> ClickTree:
        """Regions of an image; all of it is the only one if there are none.

        size: of the image.
        """
        if self.source is None:
            alone = MergeTree(1, np.zeros((0, 2), np.int32), np.zeros(0))
            return ClickTree.on_pixels(alone, (1, 1), max(size), Alignment.PADDED, size)
        children, costs = (read_entry(self.source, name, image_id) for name in ("children", "costs"))
        return ClickTree.of_maps(children, costs, int(self.source.array("patch_size")), str(self.source.array("alignment")), size)
