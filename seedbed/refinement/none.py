"""No refinement: the strongest class map wherever it is above a threshold, background elsewhere.

The confidence of a class is its map's value, that of background 1 minus the strongest map's.

Paper: none; it shows what class maps are worth by themselves, as a baseline for refinements.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from seedbed import refinement
from seedbed.methods import method
from seedbed.types import BACKGROUND, ClassMaps, Evidence, PseudoMask, Size


@method
class Nothing(refinement.Method):
    threshold: Annotated[float, Field(ge=0, lt=1)]  # class maps above it become labels

    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        return [self._cut(one.maps, one.size) for one in known]

    def _cut(self, class_maps: ClassMaps, size: Size) -> PseudoMask:
        if not class_maps.classes:
            return PseudoMask.empty(size)
        best = np.asarray(class_maps.classes, np.uint8)[class_maps.maps.argmax(axis=0)]
        strongest = class_maps.maps.max(axis=0)
        above = strongest > self.threshold
        labels = np.asarray(np.where(above, best, BACKGROUND), np.uint8)
        return PseudoMask.of(labels, np.where(above, strongest, 1 - strongest))
