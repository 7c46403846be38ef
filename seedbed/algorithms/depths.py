"""How deep the pixels of a mask lie in it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.algorithms.clicks import Mask


def measure_depths(mask: Mask) -> npt.NDArray[np.int64]:
    """How far each pixel is from the nearest that is not of the mask, squared; nothing beyond the image is.

    Distances between pixels are roots of whole numbers, of which OpenCV's last digit depends on the number of its threads.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    distances = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(np.rint(distances.astype(np.float64) ** 2), np.int64)
