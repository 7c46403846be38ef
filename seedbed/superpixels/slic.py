"""SLIC superpixels: k-means in the space of colour and position, each centre within its neighbourhood alone.

Regions are connected: pieces that are too small join a neighbour.

Paper: Achanta et al., "SLIC Superpixels Compared to State-of-the-art Superpixel Methods", TPAMI 2012.

Differs from the paper: what OpenCV does differently, whose code this is. A region is never larger than the shorter side of the image.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from seedbed import superpixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap


@method
class Slic(superpixels.Method):
    needs_features: ClassVar[bool] = False

    region_size: Annotated[int, Field(ge=1, le=10_000)]  # paper: S; mean edge of a region, in pixels
    smoothness: Annotated[float, Field(gt=0, le=10_000)]  # paper: m; the larger, the squarer regions are and the less they follow colours
    num_iterations: Annotated[int, Field(ge=1, le=1000)]  # rounds of k-means
    smallest: Annotated[int, Field(ge=1, le=100)]  # inferred; pieces below this percentage of a mean region join a neighbour

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        edge = min(self.region_size, *image.shape[:2])  # OpenCV crashes on images smaller than a region
        slic = cv2.ximgproc.createSuperpixelSLIC(lab, cv2.ximgproc.SLIC, edge, self.smoothness)
        slic.iterate(self.num_iterations)
        slic.enforceLabelConnectivity(self.smallest)
        _, regions = np.unique(slic.getLabels(), return_inverse=True)
        return np.asarray(regions.reshape(image.shape[:2]), np.int32)
