"""Clicks that somebody might make on a mask: some at random to begin with, then where an answer is wrong.

They are kept as (wanted or not, place, row and column), all wanted ones first; a place without a click has -1.

Papers: Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive Segmentation" (RITM), 2021; Liu et al.,
"SimpleClick: Interactive Image Segmentation with Simple Vision Transformers", ICCV 2023.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed.algorithms.clicks import Mask
from seedbed.algorithms.depths import measure_depths
from seedbed.learning.augmentation import Share
from seedbed.methods import parameters

Places = npt.NDArray[np.int32]  # (wanted or not, place, row and column)
SQUARE = np.ones((3, 3), np.uint8)


@parameters
class Simulation:
    """How somebody clicks of whom nothing is known."""

    most: Annotated[int, Field(ge=1, le=1000)]  # code: 24; clicks of each kind
    another: Annotated[float, Field(gt=0, le=1)]  # code: 0.8; how much less likely each further click is, as a factor
    eroded: Share  # code: 0.9; probability that wanted clicks stay away from the mask's border
    erosion: Annotated[int, Field(ge=0, le=1000)]  # code: 3; how far, in pixels
    least: Annotated[int, Field(ge=0, le=1_000_000)]  # code: 10; pixels; where no more are left, they may be anywhere in the mask
    near: Share  # code: 0.5; probability that an unwanted click is near the mask, not anywhere beside it
    margin: Annotated[float, Field(ge=0, le=10)]  # code: 0.1; how near, as a share of the root of the mask's area
    rounds: Annotated[int, Field(ge=0, le=100)]  # code: 3; most answers to which one more click is made
    threshold: Share  # code: 0.49; probability above which a pixel counts as selected then
    depth: Annotated[float, Field(ge=0, lt=1)]  # code: 0.5; such a click is deeper in what is wrong than this share of the deepest

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.rounds > self.most:
            raise ValueError(f"no more rounds than clicks, of which there are at most {self.most}")
        return self

    def begin(self, mask: Mask, random: np.random.Generator) -> Places:
        """Clicks on a mask to begin with: at least one that is wanted, if the mask has any pixel."""
        places = np.full((2, self.most, 2), -1, np.int32)
        beside = ~mask
        near = self._surround(mask) if mask.any() else beside
        within = self._erode(mask, random)
        for place in range(self._count(self.most - 1, random) + 1):
            places[0, place] = _draw(within, random)
        for place in range(self._count(self.most, random)):
            places[1, place] = _draw(near if random.random() < self.near else beside, random)
        return places

    def _count(self, most: int, random: np.random.Generator) -> int:
        likely = self.another ** np.arange(most + 1)
        return int(random.choice(most + 1, p=likely / likely.sum()))

    def _erode(self, mask: Mask, random: np.random.Generator) -> Mask:
        if random.random() >= self.eroded:
            return mask
        eroded = cv2.erode(mask.astype(np.uint8), SQUARE, iterations=self.erosion).astype(np.bool_) if self.erosion else mask
        return eroded if eroded.sum() > self.least else mask

    def _surround(self, mask: Mask) -> Mask:
        """What is near a mask, beside it."""
        reach = math.ceil(self.margin * math.sqrt(mask.sum()))
        wider = cv2.dilate(mask.astype(np.uint8), SQUARE, iterations=reach).astype(np.bool_) if reach else mask
        return np.asarray(wider & ~mask)

    def go_on(self, places: Places, mask: Mask, answer: npt.NDArray[np.float32], number: int, random: np.random.Generator) -> Places:
        """The same clicks and one more, where the answer is most wrong; it stands where there are no others yet, from the end on.

        answer: probabilities (y, x); number: of answers before this one.
        """
        missed, excess = (measure_depths(wrong) for wrong in (mask & (answer < self.threshold), ~mask & (answer > self.threshold)))
        wanted = bool(missed.max() > excess.max())
        depths = missed if wanted else excess
        places = places.copy()
        if depths.max():
            places[0 if wanted else 1, self.most - 1 - number] = _draw(depths > self.depth**2 * depths.max(), random)
        return places


def _draw(mask: Mask, random: np.random.Generator) -> tuple[int, int]:
    """Any pixel of a mask; -1 where it has none."""
    places = np.flatnonzero(mask)
    if not len(places):
        return -1, -1
    row, column = divmod(int(random.choice(places)), mask.shape[1])
    return row, column
