"""Confident pixels are foreground; the one superpixel with the weakest class maps is background.

Paper: Seoul National University dissertation of 2022, chapter 3, initial seed.

Differs from the paper: confident pixels in the background superpixel stay foreground, which the paper leaves open. Class maps are clipped
at zero before they are compared.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from seedbed import seeds
from seedbed.algorithms.region_means import average_within
from seedbed.methods import method
from seedbed.types import BACKGROUND, IGNORE, Evidence, LabelMap


@method
class SuperpixelBackground(seeds.Method):
    threshold: Annotated[float, Field(ge=0, lt=1)]  # paper: alpha; class maps above it are confident

    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        class_maps, regions = known.maps, known.regions
        labels = np.full(regions.shape, IGNORE, np.uint8)
        strongest = class_maps.maps.max(axis=0, initial=0.0)  # paper: F
        labels[regions == np.argmin(average_within(strongest[None], regions))] = BACKGROUND  # paper: of z
        confident = strongest > self.threshold
        if class_maps.classes:
            best = np.asarray(class_maps.classes, np.uint8)[class_maps.maps.argmax(axis=0)]
            labels[confident] = best[confident]
        return labels

    def explain(self, known: Evidence) -> list[str]:
        strongest = known.maps.maps.max(axis=0, initial=0.0)
        means, confident = average_within(np.stack([strongest, strongest > self.threshold]), known.regions)
        weakest = int(np.argmin(means))
        return [
            f"{'background' if number == weakest else 'not background'}: the mean of its strongest scores is {mean:.4f}, "
            + (f"the lowest of {len(means)}" if number == weakest else f"the lowest is {means[weakest]:.4f}, of superpixel {weakest}")
            + f"; {share:.1%} of its pixels are above the threshold of {self.threshold:g}, which makes them seeds"
            for number, (mean, share) in enumerate(zip(means, confident, strict=True))
        ]
