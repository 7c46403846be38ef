"""Colour and texture by hand: mean colour of a patch and the strength of its edges by direction. No network, no weights.

Each channel is standardised within its image, so that similarities are positive and negative about equally often.

Paper: none; the ingredients are those of classical segmentation (Lab colour, histograms of oriented gradients).

Differs from the paper: not applicable. It stands where a network's features will, so that the pipeline runs without a download.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import features
from seedbed.methods import method
from seedbed.types import Alignment, Image, PatchFeatures, cells

NUM_COLOURS = 3
STILL = 1e-3  # a channel that varies less than this within an image says nothing: what is left of it is rounding


@method
class Texture(features.Method):
    alignment: ClassVar[Alignment] = Alignment.PADDED

    patch_size: Annotated[int, Field(ge=2, le=64)]  # edge of a patch, in pixels
    num_directions: Annotated[int, Field(ge=1, le=32)]  # directions of edges that are told apart
    reach: Annotated[float, Field(gt=0, le=64)]  # how far a patch looks, as the deviation of a Gaussian, in patches
    texture_weight: Annotated[float, Field(ge=0, le=1000)]  # weight of all directions together against one colour channel

    @property
    def num_channels(self) -> int:
        return NUM_COLOURS + self.num_directions

    def describe(self, images: Sequence[Image], network: Any = None, *, device: str = "cpu") -> list[PatchFeatures]:
        return [PatchFeatures(values=self._describe(image), patch_size=self.patch_size, alignment=self.alignment) for image in images]

    def _describe(self, image: Image) -> npt.NDArray[np.float32]:
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        pixels = np.concatenate([lab, self._edges(np.asarray(lab[..., 0], np.float32))], axis=-1)
        rows, columns = cells(image.shape[:2], self.patch_size)
        bottom, right = rows * self.patch_size - image.shape[0], columns * self.patch_size - image.shape[1]
        # OpenCV takes at most four channels at once.
        patches = np.stack([self._pooled(channel, bottom, right) for channel in np.moveaxis(pixels, -1, 0)], axis=-1)
        deviation = patches.std(axis=(0, 1))
        standard = np.where(deviation < STILL, 0, (patches - patches.mean(axis=(0, 1))) / np.maximum(deviation, STILL))
        standard[..., NUM_COLOURS:] *= self.texture_weight / np.sqrt(self.num_directions)
        return np.asarray(standard, np.float32)

    def _edges(self, lightness: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Gradient strength (y, x, direction); a gradient and its opposite count as one direction."""
        across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0)
        down = cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
        strength = np.hypot(across, down)
        angle = np.mod(np.arctan2(down, across), np.pi) * self.num_directions / np.pi
        direction = np.minimum(angle.astype(np.int64), self.num_directions - 1)
        edges = np.zeros((*lightness.shape, self.num_directions), np.float32)
        np.put_along_axis(edges, direction[..., None], strength[..., None], axis=-1)
        return np.sqrt(edges, dtype=np.float32)

    def _pooled(self, channel: npt.NDArray[np.float32], bottom: int, right: int) -> npt.NDArray[np.float32]:
        padded = cv2.copyMakeBorder(np.ascontiguousarray(channel), 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        blurred = cv2.GaussianBlur(padded, (0, 0), sigmaX=self.reach * self.patch_size)
        size = self.patch_size
        squares = blurred.reshape(blurred.shape[0] // size, size, blurred.shape[1] // size, size)
        return np.asarray(squares.mean(axis=(1, 3)), np.float32)
