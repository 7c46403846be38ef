"""Superpixels from patch features: group the patch that resembles the fewest others with all that resemble it, and repeat on the rest.

Small objects resemble little else, so they are found before large ones. The number of regions follows from the image, and a region may
consist of several pieces. A dense CRF then moves the borders from the patch grid to the edges of the image.

Paper: Seoul National University dissertation of 2022, chapter 3; Kim et al., "Semantic-Aware Superpixel for Weakly Supervised
Semantic Segmentation", AAAI 2023.

Differs from the paper: patch features may come from any source; the paper uses keys of DINO ViT-B/8. Patches whose features are zero, which
the paper does not mention, are one region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import superpixels
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.patch_regions import measure_similarity, refine_on_pixels
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap

Order = Literal["lowest", "highest"]


@method
class Dino(superpixels.Method):
    uses_gpu: ClassVar[bool] = True

    saves_memory: ClassVar[str] = "choose features with larger patches, or smaller images: dataset.max_size, with dataset.larger: shrink"

    threshold: Annotated[float, Field(ge=-1, le=1)]  # paper: tau; cosine similarity above which a patch joins a region
    first: Order  # paper: lowest; degree of the patch that a region grows from, among those that are left; highest is its ablation
    crf_certainty: Annotated[float, Field(gt=0, lt=1)]  # probability that the CRF gives to a pixel's region before inference
    crf: DenseCrf

    @property
    def remark(self) -> str:
        if not self.crf.iterations:
            return ""
        return (
            "nearly all of its time goes into the dense CRF: in a photograph of 375 x 500, at 20 iterations on one core, about 1.5 s for "
            "10 regions and 2.3 s for 100. crf.iterations: 0 skips the CRF."
        )

    def memory(self, extents: Mapping[str, int]) -> int:
        patches = extents["patch_y"] * extents["patch_x"]
        return patches**2 * (4 + 1) + self.crf.memory(2, extents)  # similarities, whether they are positive; two regions at the least

    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        regions = discover(patches.values.reshape(-1, patches.values.shape[-1]), threshold=self.threshold, first=self.first)
        return refine_on_pixels(image, patches, regions, crf=self.crf, certainty=self.crf_certainty, device=device)


def discover(vectors: npt.NDArray[np.float32], *, threshold: float, first: Order) -> npt.NDArray[np.int32]:
    """Region of every vector, numbered in the order of discovery.

    Vectors of length zero count as orthogonal to all others and equal to each other, so they always form one region.
    vectors: (patch, channel); they need not be unit vectors.
    first: degree of the patch that each region grows from, among those that are left; of equals the first patch.
    """
    similarity = measure_similarity(vectors)  # paper: A
    related = similarity > 0  # paper: B
    regions = np.empty(len(vectors), np.int32)
    degree = related.sum(axis=1, dtype=np.int64)  # among the patches that remain
    sign = 1 if first == "lowest" else -1
    left = np.ones(len(vectors), bool)
    count = 0
    while left.any():
        seed = np.argmin(np.where(left, sign * degree, np.iinfo(np.int64).max))
        members = np.flatnonzero(left & (similarity[seed] > threshold))
        regions[members] = count
        left[members] = False
        degree -= related[members].sum(axis=0, dtype=np.int64)
        count += 1
    return regions
