"""Superpixels by merging: neighbouring patches join, those first whose union adds least to the squared error of their features (Ward).

Merging stops at a number of regions, or before the first merge that costs more than a share of the squared error of the whole image.
Regions of patches are connected. A dense CRF then moves the borders from the patch grid to the edges of the image, and may leave a region
in several pieces.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation", ICCV 2023, whose merging this is.

Differs from the paper: it keeps the whole tree and draws regions of all sizes from it; where the tree is cut, and the dense CRF, are ours.
Patch features may come from any source; the paper uses output tokens of DINO ViT-S/8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from seedbed import superpixels
from seedbed.algorithms import ward
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.patch_regions import refine_on_pixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap


@method
class Merge(superpixels.Method):
    uses_gpu: ClassVar[bool] = True  # for the dense CRF

    stop: Literal["count", "cost"]  # inferred; what ends the merging
    count: Annotated[int, Field(ge=1, le=100_000)]  # inferred; number of regions, if stop is count
    cost: Annotated[float, Field(ge=0, le=1)]  # inferred; of a merge: share of the squared error of all features, if stop is cost
    crf_certainty: Annotated[float, Field(gt=0, lt=1)]  # inferred; probability that the CRF gives to a pixel's region before inference
    crf: DenseCrf

    @property
    def remark(self) -> str:
        return "nearly all of its time goes into the dense CRF, as that of dino; crf.iterations: 0 skips it." if self.crf.iterations else ""

    def memory(self, extents: Mapping[str, int]) -> int:
        patches = extents["patch_y"] * extents["patch_x"]
        return patches * extents["channel"] * 4 * 8 + self.crf.memory(2, extents)  # two links of a patch, means; two regions at least

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        rows, columns, channels = patches.values.shape
        vectors = patches.values.reshape(-1, channels)
        tree = ward.merge(vectors, ward.link_grid((rows, columns)))
        count = self.count if self.stop == "count" else tree.count_within(self.cost * float(np.sum(tree.costs)))
        return refine_on_pixels(image, patches, tree.cut(count), crf=self.crf, certainty=self.crf_certainty, device=device)
