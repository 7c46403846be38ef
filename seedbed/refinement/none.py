"""No refinement: the strongest class map wherever it is above a threshold, background elsewhere.

Paper: none; it is what class maps are worth by themselves, to compare refinements with.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from seedbed import refinement
from seedbed.methods import method
from seedbed.types import BACKGROUND, ClassMaps, Image, LabelMap


@method
class Nothing(refinement.Method):
    threshold: Annotated[float, Field(ge=0, lt=1)]  # a class map above it is a label

    def refine(self, image: Image, class_maps: ClassMaps) -> LabelMap:
        labels = np.full(image.shape[:2], BACKGROUND, np.uint8)
        if class_maps.classes:
            best = np.asarray(class_maps.classes, np.uint8)[class_maps.maps.argmax(axis=0)]
            above = class_maps.maps.max(axis=0) > self.threshold
            labels[above] = best[above]
        return labels
