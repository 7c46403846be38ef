"""Pixels with a high class map are foreground, pixels where all class maps are low are background, and the rest stays unlabelled.

Paper: a common rule, as in Kolesnikov and Lampert, "Seed, Expand and Constrain", ECCV 2016, but with class maps instead of saliency for
background.

Differs from the paper: background comes from class maps alone. Superpixels play no part.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from seedbed import seeds
from seedbed.methods import method
from seedbed.types import BACKGROUND, IGNORE, Evidence, LabelMap

Share = Annotated[float, Field(ge=0, lt=1)]


@method
class Threshold(seeds.Method):
    needs_regions: ClassVar[bool] = False

    foreground: Share  # class maps above it are confident
    background: Share  # where no class map is above it, the pixel is background

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.background > self.foreground:
            raise ValueError(f"no more than foreground, which is {self.foreground}")
        return self

    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        class_maps = known.maps
        strongest = class_maps.maps.max(axis=0, initial=0.0)
        labels = np.full(known.size, IGNORE, np.uint8)
        labels[strongest <= self.background] = BACKGROUND
        if class_maps.classes:
            best = np.asarray(class_maps.classes, np.uint8)[class_maps.maps.argmax(axis=0)]
            confident = strongest > self.foreground
            labels[confident] = best[confident]
        return labels
