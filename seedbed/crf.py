"""Fully connected conditional random fields: make labels follow the edges of the image.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import pydensecrf.densecrf
from pydantic import Field

from seedbed.methods import parameters
from seedbed.types import Image

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

SMALLEST_PROBABILITY = 1e-5  # keeps the logarithm finite


@parameters
class DenseCrf:
    """Constants of the two pairwise terms."""

    smooth_distance: Positive  # reach of the smoothness term, in pixels
    smooth_weight: NotNegative  # weight of the smoothness term
    colour_distance: Positive  # reach of the colour term, in pixels
    colour_difference: Positive  # difference of colour, 0-255, that separates labels
    colour_weight: NotNegative  # weight of the colour term
    iterations: Annotated[int, Field(ge=0)]  # rounds of mean-field inference; 0 leaves the input as it is

    def probabilities(self, image: Image, beliefs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Beliefs (label, y, x) after inference; they need not sum to 1 before, and do so after."""
        return self._infer(image, -np.log(np.clip(beliefs, SMALLEST_PROBABILITY, 1.0)))

    def labels(self, image: Image, labels: npt.NDArray[np.int32], *, count: int, certainty: float) -> npt.NDArray[np.int32]:
        """The most likely labels where every pixel names its own with some certainty.

        labels: (y, x), 0..count-1.
        """
        if count < 2:
            return labels
        energy = np.full((count, *labels.shape), -np.log((1.0 - certainty) / (count - 1)), np.float32)
        np.put_along_axis(energy, labels[None], np.float32(-np.log(certainty)), axis=0)
        return np.asarray(self._infer(image, energy).argmax(axis=0), np.int32)

    def _infer(self, image: Image, energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        count, height, width = energy.shape
        field = pydensecrf.densecrf.DenseCRF2D(width, height, count)
        field.setUnaryEnergy(np.ascontiguousarray(energy.reshape(count, -1), dtype=np.float32))
        field.addPairwiseGaussian(sxy=self.smooth_distance, compat=self.smooth_weight)
        field.addPairwiseBilateral(
            sxy=self.colour_distance, srgb=self.colour_difference, rgbim=np.ascontiguousarray(image), compat=self.colour_weight
        )
        return np.asarray(field.inference(self.iterations), np.float32).reshape(count, height, width)
