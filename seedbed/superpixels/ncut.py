"""Superpixels by normalised cuts: the graph of patches is cut in two, the smaller side is a superpixel, and so on with the rest.

Patches whose cosine similarity exceeds a threshold are linked, all others hardly. Cutting stops at a number of regions, or before the first
cut whose value is too large. A region may consist of several pieces. A dense CRF then moves borders from the patch grid to the edges of the
image.

Paper: Seoul National University dissertation of 2022, chapter 3, where it is compared with `dino`; the weights are those of Wang et al.,
"Self-supervised Transformers for Unsupervised Object Discovery using Normalized Cut" (TokenCut), CVPR 2022.

Differs from the paper: it does not say when to stop. A rest whose patches are all linked stays whole, so there may be fewer regions than
asked for. Patches whose features are zero are alike. Of two sides of equal size, the one without the first patch is the smaller.
Eigenvectors are found by Lanczos iterations; each search starts from what the one before left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import superpixels
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.normalised_cut import bipartition
from seedbed.algorithms.patch_regions import measure_similarity, refine_on_pixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap

Stop = Literal["count", "cut"]


@method
class Ncut(superpixels.Method):
    uses_gpu: ClassVar[bool] = True  # for products of the weights, and for the dense CRF

    saves_memory: ClassVar[str] = "choose features with larger patches, or smaller images: dataset.max_size, with dataset.larger: shrink"

    threshold: Annotated[float, Field(ge=-1, le=1)]  # paper: tau; cosine similarity above which patches are linked
    weak: Annotated[float, Field(gt=0, lt=1)]  # paper: epsilon, 1e-5; weight of all other links, where that of these is 1
    stop: Stop  # inferred; what ends the cutting
    count: Annotated[int, Field(ge=1, le=100_000)]  # inferred; number of regions of patches, if stop is count
    cut: Annotated[float, Field(ge=0, le=2)]  # inferred; largest value of a cut, as a share of weights of either side, if stop is cut
    crf_certainty: Annotated[float, Field(gt=0, lt=1)]  # probability that the CRF gives to a pixel's region before inference
    crf: DenseCrf

    @property
    def remark(self) -> str:
        beside = ", beside the dense CRF, as that of dino" if self.crf.iterations else ""
        return f"it takes some tenths of a second for each region of 3,000 patches{beside}."

    def memory(self, extents: Mapping[str, int]) -> int:
        patches = extents["patch_y"] * extents["patch_x"]
        return patches**2 * (4 + 2 * 8) + self.crf.memory(2, extents)  # similarities, weights and those of the rest; two regions at least

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        vectors = patches.values.reshape(-1, patches.values.shape[-1])
        weights = np.where(measure_similarity(vectors) > self.threshold, 1.0, self.weak)
        regions = cut_repeatedly(weights, stop=self.stop, count=self.count, cut=self.cut, device=device)
        return refine_on_pixels(image, patches, regions, crf=self.crf, certainty=self.crf_certainty, device=device)


def cut_repeatedly(weights: npt.NDArray[np.float64], *, stop: Stop, count: int, cut: float, device: str = "cpu") -> npt.NDArray[np.int32]:
    """Region of every node of a graph, in the order in which they were cut off; what is left is the last one.

    weights: (node, node), symmetric and positive.
    """
    regions = np.empty(len(weights), np.int32)
    left = np.arange(len(weights))
    start = np.random.default_rng(0).standard_normal(len(weights))  # any will do that is not an eigenvector
    found = 0
    while stop == "cut" or found < count - 1:
        parted = bipartition(weights, start=start, device=device)
        if not parted.side.any() or (stop == "cut" and parted.value > cut):
            break
        smaller = parted.side if 2 * parted.side.sum() <= len(left) else ~parted.side
        regions[left[smaller]] = found
        left, found = left[~smaller], found + 1
        weights = weights[np.ix_(~smaller, ~smaller)]
        start = parted.following[~smaller]
    regions[left] = found
    return regions
