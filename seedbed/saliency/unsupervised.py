"""Superpixels that look like things: they keep off the border of the image, resemble little of it, and stand out from what is around.

Each of the three is a score of a superpixel in [0, 1], and a pixel has their weighted mean. Nothing is learned, and no mask has been seen.

Paper: none. That background meets the border, and that things are rare and stand out, are old observations: Zhu et al., "Saliency
Optimization from Robust Background Detection", CVPR 2014; Siméoni et al., "Localizing Objects with Self-Supervised Transformers and no
Labels", BMVC 2021, for the degree of patches.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed import saliency
from seedbed.algorithms.patch_regions import measure_similarity
from seedbed.algorithms.region_means import average_within, describe_regions
from seedbed.methods import method
from seedbed.saliency import Correction
from seedbed.types import Evidence, PatchFeatures, RegionMap

Weight = Annotated[float, Field(ge=0, le=1000)]
Floats = npt.NDArray[np.float64]


@method
class Unsupervised(saliency.DetectingMethod):
    border: Weight  # inferred; what it counts that a superpixel keeps off the border of the image
    degree: Weight  # inferred; what it counts that its patches resemble few others
    contrast: Weight  # inferred; what it counts that its features differ from those of the others
    threshold: Annotated[float, Field(ge=0, le=1)]  # inferred; pixels of a higher score are objects
    correction: Correction

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not self.border + self.degree + self.contrast:
            raise ValueError("a weight above 0 for border, degree or contrast")
        return self

    @property
    def unread(self) -> tuple[str, ...]:
        return super().unread if self.degree or self.contrast else (*super().unread, "features")

    def memory(self, extents: Mapping[str, int]) -> int:
        return (extents["patch_y"] * extents["patch_x"]) ** 2 * (4 + 1) if self.degree else 0  # similarities, whether they are positive

    def score(self, known: Evidence, detected: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        regions, patches = known.regions, known.patches
        scores = np.zeros(int(regions.max()) + 1)
        if self.border:
            scores += self.border * score_distance_from_border(regions)
        if self.degree:
            scores += self.degree * score_rarity(regions, patches)
        if self.contrast:
            scores += self.contrast * score_contrast(regions, patches)
        return np.asarray(scores / (self.border + self.degree + self.contrast), np.float32)[regions]


def score_distance_from_border(regions: RegionMap) -> Floats:
    """For each region, how much less of the border of the image it has than the region that has most."""
    border = np.concatenate([regions[0], regions[-1], regions[1:-1, 0], regions[1:-1, -1]])
    lengths = np.bincount(border, minlength=int(regions.max()) + 1)
    return np.asarray(1 - lengths / lengths.max(), np.float64)


def score_rarity(regions: RegionMap, patches: PatchFeatures) -> Floats:
    """For each region, how many patches resemble its own: 1 for the region with fewest, 0 for that with most, or if all have as many."""
    rows, columns, channels = patches.values.shape
    degree = (measure_similarity(patches.values.reshape(-1, channels)) > 0).sum(axis=1).reshape(rows, columns)
    [means] = average_within(patches.on_pixels(degree, (regions.shape[0], regions.shape[1]))[None], regions)
    return _stretch(-means)


def score_contrast(regions: RegionMap, patches: PatchFeatures) -> Floats:
    """For each region, the mean over all pixels of 1 minus the cosine of features: 1 for the highest, 0 for the lowest."""
    vectors, areas = describe_regions(patches, regions), np.bincount(regions.ravel())
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return _stretch(-(unit @ unit.T) @ (areas / areas.sum()))


def _stretch(values: Floats) -> Floats:
    """Values from 0 to 1; all 0 where they are equal."""
    span = values.max() - values.min()
    return np.asarray((values - values.min()) / span if span else np.zeros_like(values), np.float64)
