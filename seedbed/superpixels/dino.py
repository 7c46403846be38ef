"""Superpixels from patch features: take the patch that resembles fewest others, and all that resemble it; repeat on the rest.

Small things resemble little else, so they are found before large ones. The number of regions is found, not given, and a region
may lie in several pieces. A dense CRF then moves the borders from the patch grid to the edges of the image.

Paper: Seoul National University dissertation of 2022, chapter 3; Kim et al., "Semantic-Aware Superpixel for Weakly Supervised
Semantic Segmentation", AAAI 2023.

Differs from the paper: it works on the patch features of any source, where the paper uses keys of DINO ViT-B/8; patches whose features
are zero, of which the paper does not speak, are one region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from skimage.segmentation import relabel_sequential

from seedbed import superpixels
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import method
from seedbed.types import Image, PatchFeatures, RegionMap


@method
class Dino(superpixels.Method):
    remark: ClassVar[str] = (
        "nearly all of its time is the dense CRF, which takes as long as there are regions: at 20 iterations about 0.07 s for each in a "
        "photograph of 375 x 500 on one core, so 2 s where there are 30. A higher threshold makes more; crf.iterations: 0 leaves it out."
    )

    saves_memory: ClassVar[str] = "choose features with larger patches, or smaller images: dataset.max_size, with dataset.larger: shrink"

    threshold: Annotated[float, Field(ge=-1, le=1)]  # paper: tau; cosine above which a patch joins a region
    crf_certainty: Annotated[float, Field(gt=0, lt=1)]  # how sure the CRF is of the region that a pixel comes with
    crf: DenseCrf

    def memory(self, extents: Mapping[str, int]) -> int:
        patches = extents["patch_y"] * extents["patch_x"]
        return patches**2 * (4 + 1) + self.crf.memory(2, extents)  # similarities, whether they are positive; two regions at the least

    def segment(self, image: Image, patches: PatchFeatures) -> RegionMap:
        regions = discover(patches.values.reshape(-1, patches.values.shape[-1]), threshold=self.threshold)
        pixels = patches.on_pixels(regions.reshape(patches.values.shape[:2]), (image.shape[0], image.shape[1]))
        refined = self.crf.labels(image, pixels, count=int(regions.max()) + 1, certainty=self.crf_certainty)
        used, _, _ = relabel_sequential(refined + 1)  # the CRF may have wiped some out
        return np.asarray(used - 1, np.int32)


def discover(vectors: npt.NDArray[np.float32], *, threshold: float) -> npt.NDArray[np.int32]:
    """Region of every vector, in the order of discovery.

    Vectors of length zero, of which the paper does not speak, have no direction: they are at right angles to all others and equal to
    each other, so they are always in one region together.
    vectors: (patch, channel), of any length.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    similarity = unit @ unit.T  # paper: A
    similarity[np.ix_(length[:, 0] == 0, length[:, 0] == 0)] = np.inf
    np.fill_diagonal(similarity, np.inf)  # a patch always resembles itself, whatever the rounding
    related = similarity > 0  # paper: B
    regions = np.full(len(vectors), -1, np.int32)
    degree = related.sum(axis=1, dtype=np.int64)  # among the patches that remain
    left = np.ones(len(vectors), bool)
    count = 0
    while left.any():
        seed = np.argmin(np.where(left, degree, np.iinfo(np.int64).max))
        members = np.flatnonzero(left & (similarity[seed] > threshold))
        regions[members] = count
        left[members] = False
        degree -= related[members].sum(axis=0, dtype=np.int64)
        count += 1
    return regions
