"""Fully connected conditional random fields, which make labels follow the edges of the image.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import pydensecrf.densecrf
from pydantic import Field, model_validator

from seedbed.algorithms.label_channels import Channels
from seedbed.methods import check_preset, parameters
from seedbed.types import Image

Floats = npt.NDArray[np.float32]
Distance = Annotated[float, Field(ge=0.01, le=100_000)]  # pydensecrf crashes at far smaller ones
Weight = Annotated[float, Field(ge=0, le=100_000)]

BYTES_PER_LABEL = 4 * 4  # and pixel: energy, two probabilities, and space for the next ones
SMALLEST_PROBABILITY = 1e-5  # keeps the logarithm finite
REACH = 3  # standard deviations of the wider term; labels farther apart than this share a channel, and win the pixels that they would win

NUMBERS = ("smooth_distance", "smooth_weight", "colour_distance", "colour_difference", "colour_weight", "iterations")
PRESETS: dict[str, tuple[float, ...]] = {  # published constants, in the order above
    "psa": (3, 3, 80, 13, 10, 10),  # masks from class maps: PSA, SEAM
    "irn": (3, 3, 50, 5, 10, 10),  # confident labels: IRN
    "deeplab": (1, 3, 67, 3, 4, 10),  # predictions: DeepLab v2, SSC
    "toco": (1, 1, 121, 5, 4, 10),  # predictions of a transformer: ToCo
    "mctformer": (4, 3, 83, 5, 3, 10),  # predictions: MCTformer
    "seam": (3, 3, 32, 13, 10, 1),  # predictions: SEAM
    "superpixels": (10, 10, 20, 5, 10, 20),  # superpixels of DINO: Semantic-Aware Superpixel
}


@parameters
class DenseCrf:
    """Constants of the two pairwise terms."""

    preset: Literal[
        "own", "psa", "irn", "deeplab", "toco", "mctformer", "seam", "superpixels"
    ]  # published set of all numbers below, or own
    smooth_distance: Distance  # standard deviation of the smoothness term, in pixels
    smooth_weight: Weight  # weight of the smoothness term
    colour_distance: Distance  # spatial standard deviation of the colour term, in pixels
    colour_difference: Distance  # standard deviation of the colour term in colour, 0-255
    colour_weight: Weight  # weight of the colour term
    iterations: Annotated[int, Field(ge=0, le=1000)]  # rounds of mean-field inference; 0 leaves the labels as they are

    @model_validator(mode="after")
    def _what_it_says(self) -> Self:
        check_preset(self, {name: dict(zip(NUMBERS, numbers, strict=True)) for name, numbers in PRESETS.items()})
        return self

    def memory(self, labels: int, extents: Mapping[str, int]) -> int:
        """An estimate of the bytes that inference on a CPU holds at once for an image of the largest size; tensors on a GPU hold more.

        extents: lengths of dimensions by name.
        """
        return BYTES_PER_LABEL * labels * extents["y"] * extents["x"]

    def probabilities(self, images: Sequence[Image], beliefs: Sequence[Floats], *, device: str = "cpu") -> list[Floats]:
        """Probabilities (label, y, x) of each image after inference. The beliefs need not sum to 1.

        On a GPU all images are inferred together, because for few labels starting an operation takes longer than the operation.
        """
        energies = [-np.log(np.maximum(one, SMALLEST_PROBABILITY)) for one in beliefs]
        return self._infer(images, energies, device, stand_for=[np.ones(len(one), np.float32) for one in beliefs])

    def labels(
        self, image: Image, labels: npt.NDArray[np.int32], *, count: int, certainty: float, device: str = "cpu"
    ) -> npt.NDArray[np.int32]:
        """The most likely labels after inference.

        It takes as long as the number of labels asks for that lie near each other: those that are farther apart do not compete.

        labels: (y, x), 0..count-1.
        certainty: probability of each pixel's label before inference.
        """
        if count < 2 or not self.iterations:
            return labels
        channels = Channels.share(labels, count=count, reach=REACH * max(self.smooth_distance, self.colour_distance))
        elsewhere = count - channels.count  # labels that no channel has where a pixel is: one row stands for them
        stand_for = np.array([1] * channels.count + [elsewhere] * (elsewhere > 0), np.float32)
        other = -np.log(stand_for * (1.0 - certainty) / (count - 1), dtype=np.float32)
        energy = np.broadcast_to(other[:, None, None], (len(other), *labels.shape)).copy()
        np.put_along_axis(energy, channels.of_pixels[None], np.float32(-np.log(certainty)), axis=0)
        [refined] = self._infer([image], [energy], device, stand_for=[stand_for])
        return channels.restore(refined[: channels.count].argmax(axis=0))

    def _infer(self, images: Sequence[Image], energies: Sequence[Floats], device: str, *, stand_for: Sequence[Floats]) -> list[Floats]:
        """Probabilities of each image. On a CPU pydensecrf is several times faster than tensors, which give the same labels.

        stand_for: number of labels that each row of an energy stands for; they are alike everywhere.
        """
        # A row has the probability of all its labels, and each is attracted by its own alone.
        shares = [np.reciprocal(one) for one in stand_for]
        if images and device != "cpu":
            from seedbed.algorithms.mean_field import infer  # with torch, for which nobody pays on a CPU

            made = infer(images, energies, shares, **{name: getattr(self, name) for name in NUMBERS}, device=device)
            if made is not None:
                return made
        return [self._infer_on_cpu(*each) for each in zip(images, energies, shares, strict=True)]

    def _infer_on_cpu(self, image: Image, energy: Floats, shares: Floats) -> Floats:
        count, height, width = energy.shape
        field = pydensecrf.densecrf.DenseCRF2D(width, height, count)
        field.setUnaryEnergy(np.ascontiguousarray(energy.reshape(count, -1), dtype=np.float32))
        field.addPairwiseGaussian(sxy=self.smooth_distance, compat=-self.smooth_weight * shares)
        field.addPairwiseBilateral(
            sxy=self.colour_distance, srgb=self.colour_difference, rgbim=np.ascontiguousarray(image), compat=-self.colour_weight * shares
        )
        return np.asarray(field.inference(self.iterations), np.float32).reshape(count, height, width)
