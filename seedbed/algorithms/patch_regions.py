"""Brings regions of patches to the pixels of the image, where a dense CRF moves their borders to its edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.segmentation import relabel_sequential

from seedbed.algorithms.crf import DenseCrf
from seedbed.types import Image, PatchFeatures, RegionMap


def refine_on_pixels(image: Image, patches: PatchFeatures, regions: npt.NDArray[np.int32], *, crf: DenseCrf, certainty: float) -> RegionMap:
    """Regions of pixels, without those that the CRF has wiped out.

    regions: of every patch (patch,), row by row, 0..n-1.
    certainty: probability that the CRF gives to a pixel's region before inference.
    """
    pixels = patches.on_pixels(regions.reshape(patches.values.shape[:2]), (image.shape[0], image.shape[1]))
    refined = crf.labels(image, pixels, count=int(regions.max()) + 1, certainty=certainty, device=device)
    used, _, _ = relabel_sequential(refined + 1)
    return np.asarray(used - 1, np.int32)
