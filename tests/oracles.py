"""What methods are held against: the same, written down once more as plainly as it can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pydensecrf.densecrf

from seedbed.types import Image, Size, cells

Floats = npt.NDArray[np.floating[Any]]


def photograph(size: Size = (40, 56), *, seed: int = 0) -> Image:
    """Coarse patches of colour with noise on them, so that there are borders and doubts."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (*cells(size, 8), 3)).repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]]
    return np.asarray(np.clip(coarse + random.integers(-25, 26, (*size, 3)), 0, 255), np.uint8)


def dense_crf(
    image: Image, energy: Floats, *, smooth: tuple[float, float], colour: tuple[float, float, float], iterations: int
) -> npt.NDArray[np.float32]:
    """Probabilities (label, y, x) as pydensecrf's own example has them.

    energy: (label, y, x), negative logarithms.
    smooth: distance, weight. colour: distance, difference, weight.
    """
    count, height, width = energy.shape
    field = pydensecrf.densecrf.DenseCRF2D(width, height, count)
    field.setUnaryEnergy(np.ascontiguousarray(energy.reshape(count, height * width), dtype=np.float32))
    field.addPairwiseGaussian(sxy=smooth[0], compat=smooth[1])
    field.addPairwiseBilateral(sxy=colour[0], srgb=colour[1], rgbim=np.ascontiguousarray(image), compat=colour[2])
    return np.array(field.inference(iterations), np.float32).reshape(count, height, width)
