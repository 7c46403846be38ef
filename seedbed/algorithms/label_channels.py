"""Labels that are far apart share a channel, so that filters need fewer channels than there are labels.

A filter with a limited reach makes the same of two labels, whether they share a channel or not, if they are farther apart than it reaches.
Afterwards, each pixel of the channel belongs to the label that is nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import cells

CELLS_PER_REACH = 4  # distances are measured between square cells, so as not to compare all pixels; smaller ones hardly save channels
SMALLEST_CELL = 8  # pixels


@dataclass(frozen=True)
class Channels:
    """Channels of labels."""

    labels: npt.NDArray[np.int32]  # of each pixel
    of_pixels: npt.NDArray[np.int64]  # channel of each pixel's label
    count: int

    @classmethod
    def share(cls, labels: npt.NDArray[np.int32], *, count: int, reach: float) -> Channels:
        """Few channels for labels (y, x), 0..count-1, so that no two of which pixels are nearer than the reach have the same."""
        channels = _colour(_find_neighbours(labels, count=count, reach=reach))
        return cls(labels, channels[labels], int(channels.max()) + 1)

    def restore(self, channels: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Labels of pixels that have moved to other channels (y, x): of each channel the nearest one."""
        restored = self.labels.copy()
        moved = channels != self.of_pixels
        for channel in np.unique(channels[moved]):
            here = moved & (channels == channel)
            restored[here] = _spread(self.labels, self.of_pixels == channel)[here]
        return restored


def _find_neighbours(labels: npt.NDArray[np.int32], *, count: int, reach: float) -> npt.NDArray[np.bool_]:
    """Whether two labels (count, count) have pixels nearer than the reach, or than two cells more."""
    height, width = labels.shape
    cell = max(SMALLEST_CELL, int(reach / CELLS_PER_REACH))
    covered = np.zeros((count, *cells((height, width), cell)), np.uint8)
    covered[labels, np.arange(height)[:, None] // cell, np.arange(width) // cell] = 1
    furthest = min(int(np.ceil(reach / cell)), max(covered.shape[1:]))
    between = np.maximum(abs(np.arange(-furthest, furthest + 1)) - 1, 0) * cell  # pixels that lie between two cells, at least
    within = (np.hypot(between[:, None], between) < reach).astype(np.uint8)
    reached = np.stack([cv2.dilate(each, within) for each in covered])
    return np.asarray(reached.reshape(count, -1).astype(np.float32) @ covered.reshape(count, -1).astype(np.float32).T > 0)


def _colour(neighbours: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """A colour of every node of a graph, so that no two neighbours have the same: nodes with the fewest colours to choose from come first.

    Paper: Brélaz, "New Methods to Color the Vertices of a Graph", Communications of the ACM 1979.
    """
    degrees = neighbours.sum(axis=1)
    taken = np.zeros((len(neighbours), int(degrees.max()) + 1), bool)
    colours = np.full(len(neighbours), -1)
    for _ in neighbours:
        node = np.argmax(np.where(colours < 0, taken.sum(axis=1) * len(neighbours) + degrees, -1))
        colours[node] = np.argmin(taken[node])
        taken[neighbours[node], colours[node]] = True
    return colours


def _spread(labels: npt.NDArray[np.int32], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """At every pixel, the label of the nearest of those that are known."""
    _, nearest = cv2.distanceTransformWithLabels((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    numbered = np.empty(int(nearest.max()) + 1, np.int32)
    numbered[nearest[known]] = labels[known]
    return np.asarray(numbered[nearest], np.int32)
