"""Scores that spread over the cells of an image up to boundaries between things, as IRN walks.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedbed.algorithms.cell_pairs import find_margin, measure_barriers
from seedbed.algorithms.random_walk import Links, Walk
from seedbed.types import ClassMaps

Floats = npt.NDArray[np.float32]


def link_within(boundaries: Floats, walk: Walk) -> Links:
    """Links between cells, the weaker the higher the boundary (y, x) that the straight way crosses."""
    margin = find_margin(walk.radius)
    padded = np.pad(boundaries, ((0, margin), (margin, margin)), constant_values=1)  # so that every cell has all its pairs
    return walk.link(1 - np.stack(measure_barriers(padded, walk.radius, np.maximum)))


def keep_within(class_maps: ClassMaps, boundaries: Floats) -> Floats:
    """Class maps of cells (class, y, x), the less the surer something ends there."""
    maps = class_maps.resize((boundaries.shape[0], boundaries.shape[1])).maps
    return np.asarray(maps * (1 - boundaries), np.float32)


def measure_relative(walked: Floats) -> Floats:
    """Maps after the walk as shares of the highest of all their values, not negative."""
    return np.asarray(np.maximum(walked / np.maximum(walked.max(), np.finfo(np.float32).tiny), 0), np.float32)
