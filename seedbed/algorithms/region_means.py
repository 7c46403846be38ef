"""What regions show on average, and scores that spread between regions that look alike."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed.methods import parameters
from seedbed.types import PatchFeatures, RegionMap

Floats = npt.NDArray[np.float64]


@parameters
class Propagation:
    """How far scores spread over the regions of an image: all are linked, the more, the more alike their features are."""

    share: Annotated[float, Field(ge=0, lt=1)]  # inferred; of a region's scores that come from those it is linked with; 0: none do
    temperature: Annotated[float, Field(gt=0, le=100)]  # inferred; difference of cosines at which links are 2.7 times as strong

    def score(self, maps: npt.NDArray[Any], regions: RegionMap, patches: PatchFeatures) -> Floats:
        """Means of maps (map, y, x) over regions (map, region), which have spread if they are to.

        patches: without channels if none do.
        """
        means = average_within(maps, regions)
        return self.spread(means, describe_regions(patches, regions)) if self.share else means

    def spread(self, scores: Floats, vectors: Floats) -> Floats:
        """Scores (class, region) that have spread until nothing changes.

        In every round a region keeps what it began with but for `share`, which is the mean of the others' present scores.

        Paper: Zhou et al., "Learning with Local and Global Consistency", NIPS 2003; links are softmax weights of cosines here.

        vectors: (region, channel); those of length zero are orthogonal to all.
        """
        if len(vectors) < 2:
            return scores
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -np.inf)
        links = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / self.temperature)
        links /= links.sum(axis=1, keepdims=True)
        return np.asarray(np.linalg.solve(np.eye(len(links)) - self.share * links, (1 - self.share) * scores.T).T, np.float64)


def average_within(maps: npt.NDArray[Any], regions: RegionMap) -> Floats:
    """Mean of each map (map, y, x) over each region: (map, region)."""
    flat = regions.ravel()
    sizes = np.bincount(flat)
    sums = [np.bincount(flat, weights=one.ravel()) for one in maps]
    return np.asarray(sums, np.float64).reshape(len(maps), len(sizes)) / sizes


def describe_regions(patches: PatchFeatures, regions: RegionMap) -> Floats:
    """Mean of the features of each region's pixels: (region, channel)."""
    rows, columns, channels = patches.values.shape
    count, width = int(regions.max()) + 1, rows * columns
    of_pixels = patches.on_pixels(np.arange(width).reshape(rows, columns), (regions.shape[0], regions.shape[1]))
    shared = np.bincount((regions.astype(np.int64) * width + of_pixels).ravel(), minlength=count * width).reshape(count, width)
    return np.asarray(shared @ patches.values.reshape(-1, channels) / shared.sum(axis=1, keepdims=True), np.float64)
