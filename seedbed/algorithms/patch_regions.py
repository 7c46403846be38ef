"""What methods share that group patches: how alike patches are, and regions of patches brought to the pixels of the image.

On pixels, a dense CRF moves the borders of regions to the edges of the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.segmentation import relabel_sequential

from seedbed.algorithms.crf import DenseCrf
from seedbed.types import Image, PatchFeatures, RegionMap


def refine_on_pixels(
    image: Image, patches: PatchFeatures, regions: npt.NDArray[np.int32], *, crf: DenseCrf, certainty: float, device: str
) -> RegionMap:
    """Regions of pixels, without those that the CRF has wiped out.

    regions: of every patch (patch,), row by row, 0..n-1.
    certainty: probability that the CRF gives to a pixel's region before inference.
    """
    pixels = patches.on_pixels(regions.reshape(patches.values.shape[:2]), (image.shape[0], image.shape[1]))
    refined = crf.labels(image, pixels, count=int(regions.max()) + 1, certainty=certainty, device=device)
    used, _, _ = relabel_sequential(refined + 1)
    return np.asarray(used - 1, np.int32)


def measure_similarity(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosine of every two vectors; infinite where a patch meets itself, which resembles itself whatever the rounding.

    Vectors of length zero count as orthogonal to all others and equal to each other, so their similarity is infinite too.
    vectors: (patch, channel); they need not be unit vectors.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    similarity = np.asarray(unit @ unit.T, np.float32)
    similarity[np.ix_(length[:, 0] == 0, length[:, 0] == 0)] = np.inf
    np.fill_diagonal(similarity, np.inf)
    return similarity
