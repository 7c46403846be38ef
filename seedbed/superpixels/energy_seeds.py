"""Superpixels by the SEEDS algorithm: a grid of blocks whose borders move while the colours within each become more alike.

Blocks move first as a whole, then their quarters and so on, at last single pixels. The grid has no more regions than asked for, and fewer
where they would not halve evenly. A region may lose contact with some of its pixels.

Paper: Van den Bergh et al., "SEEDS: Superpixels Extracted via Energy-Driven Sampling", ECCV 2012.

Differs from the paper: what OpenCV does differently, whose code this is: it makes no grid of fewer than 10 regions. Regions have 4 x 4
pixels or more. Where the levels do not fit into the image there are fewer of them, and where none fit it is one region.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from seedbed import superpixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap, Size

FEWEST_REGIONS = 10  # that OpenCV divides an image into
FEWEST_LEVELS = 2  # likewise
SMALLEST_AREA = 16  # of a region, in pixels


@method
class EnergySeeds(superpixels.Method):
    needs_features: ClassVar[bool] = False

    count: Annotated[int, Field(ge=FEWEST_REGIONS, le=100_000)]  # paper: K; number of regions, at most
    num_levels: Annotated[int, Field(ge=FEWEST_LEVELS, le=16)]  # sizes of blocks, each half of the one before
    prior: Annotated[int, Field(ge=0, le=5)]  # inferred; how much borders are smoothed (OpenCV: prior)
    histogram_bins: Annotated[int, Field(ge=2, le=32)]  # of each colour channel; 5 in OpenCV
    double_step: bool  # inferred; whether blocks of each size move twice, at first only where that is certain to help
    num_iterations: Annotated[int, Field(ge=0, le=1000)]  # inferred; rounds in which single pixels move

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        height, width, channels = image.shape
        count = min(self.count, height * width // SMALLEST_AREA)
        levels = fit_levels((height, width), count=count, most=self.num_levels)
        if not levels:
            return np.zeros((height, width), np.int32)
        seeds = cv2.ximgproc.createSuperpixelSEEDS(
            width, height, channels, count, levels, self.prior, self.histogram_bins, self.double_step
        )
        seeds.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), self.num_iterations)
        _, regions = np.unique(seeds.getLabels(), return_inverse=True)
        return np.asarray(regions.reshape(height, width), np.int32)


def fit_levels(size: Size, *, count: int, most: int) -> int:
    """How many sizes of blocks fit into an image, 0 if OpenCV can make no grid of it: it would crash or never return.

    This is OpenCV's own reckoning: it divides the image into smallest blocks, and their number by 2 for each further level.
    """
    height, width = size
    rows = int(math.sqrt(max(count, FEWEST_REGIONS) * height / width))
    columns = rows * width // height
    if not columns:  # as where there is no row
        return 0
    for levels in range(most, FEWEST_LEVELS - 1, -1):
        parts = 2 ** (levels - 1)
        tall, broad = height / rows / parts, width / columns / parts
        if min(tall, broad) >= 1 and height // math.ceil(tall) >= parts and width // math.ceil(broad) >= parts:
            return levels
    return 0
