"""Regions of images, as tests of several methods look at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from seedbed.types import Alignment, PatchFeatures, RegionMap

NOTHING = PatchFeatures(np.zeros((1, 1, 1), np.float32), 1, Alignment.PADDED)  # for methods that read no features


def count_pieces(regions: RegionMap, *, corners: bool = False) -> int:
    """Connected pieces of all regions."""
    structure = np.ones((3, 3), int) if corners else None
    return sum(ndimage.label(regions == region, structure)[1] for region in range(regions.max() + 1))


def numbered(labels: Any) -> list[list[int]]:
    """The same regions with numbers 0, 1, ... in the order of theirs."""
    order = sorted(set(np.asarray(labels).ravel().tolist()))
    return [[order.index(label) for label in row] for row in np.asarray(labels).tolist()]
