"""Confident pixels are foreground; the one superpixel with the weakest class maps is background.

Paper: Seoul National University dissertation of 2022, chapter 3, initial seed.

Differs from the paper: confident pixels in the background superpixel stay foreground, which the paper leaves open. Class maps are clipped
at zero before they are compared.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.ndimage
from pydantic import Field

from seedbed import seeds
from seedbed.methods import method
from seedbed.types import BACKGROUND, IGNORE, ClassMaps, LabelMap, RegionMap


@method
class SuperpixelBackground(seeds.Method):
    threshold: Annotated[float, Field(ge=0, lt=1)]  # paper: alpha; class maps above it are confident

    def label(self, class_maps: ClassMaps, regions: RegionMap) -> LabelMap:
        labels = np.full(regions.shape, IGNORE, np.uint8)
        strongest = class_maps.maps.max(axis=0, initial=0.0)  # paper: F
        means = scipy.ndimage.mean(strongest, regions, index=np.arange(regions.max() + 1))  # paper: z
        labels[regions == np.argmin(means)] = BACKGROUND
        confident = strongest > self.threshold
        if class_maps.classes:
            best = np.asarray(class_maps.classes, np.uint8)[class_maps.maps.argmax(axis=0)]
            labels[confident] = best[confident]
        return labels
