"""Superpixels by Felzenszwalb and Huttenlocher: pixels join along edges that are no stronger than those within regions.

Regions are connected, corners included, and of very different sizes.

Paper: Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004.

Differs from the paper: what scikit-image does differently, whose code this is: one graph of all colours together, whose weights are
distances between colours.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from skimage.segmentation import felzenszwalb

from seedbed import superpixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap


@method
class Felzenszwalb(superpixels.Method):
    needs_features: ClassVar[bool] = False

    scale: Annotated[float, Field(gt=0, le=1_000_000)]  # paper: k; the larger, the larger are regions
    blur: Annotated[float, Field(ge=0, le=100)]  # paper: sigma; deviation of the Gaussian that smooths the image first, in pixels
    smallest: Annotated[int, Field(ge=1, le=1_000_000)]  # paper: min; regions of fewer pixels join a neighbour

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        found = felzenszwalb(image, scale=self.scale, sigma=self.blur, min_size=self.smallest, channel_axis=-1)
        _, regions = np.unique(found, return_inverse=True)
        return np.asarray(regions.reshape(image.shape[:2]), np.int32)
