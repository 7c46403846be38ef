"""How little an answer may change between pixels that are near each other and of like colours.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023.

Differs from the paper: its published code multiplies colours by the transposed matrix, so that a change of brightness alone counts as
one of hue too. Here brightness and hue are what they are called.

Shapes: B images, C channels, N neighbours, Y X pixels.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from seedbed.methods import parameters

YUV = ((0.299, 0.587, 0.114), (-0.147, -0.289, 0.436), (0.615, -0.515, -0.100))  # brightness and two of hue, of red, green and blue
AROUND = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]
Spread = Annotated[float, Field(gt=0, le=1e6)]


@parameters
class Smoothness:
    """Neighbours of each pixel, and how alike they must be."""

    weight: Annotated[float, Field(ge=0, le=1e6)]  # paper: 10; of the term; 0: there is none
    distance: Annotated[int, Field(ge=1, le=100)]  # code: 2; to the eight neighbours, in pixels along rows and columns
    place: Spread  # code: 16; variance of places, in pixels
    brightness: Spread  # code: 16; variance of brightness, of 255
    hue: Spread  # code: 8; variance of both channels of hue

    def measure(self, logits_B1YX: Tensor, images_BCYX: Tensor) -> Tensor:
        """The mean squared difference between neighbours, weighed by how alike they are.

        images_BCYX: RGB in [0, 1].
        """
        apart_BNYX = self._compare(logits_B1YX)[:, 0] ** 2
        return (self.weigh(images_BCYX) * apart_BNYX).mean()

    def weigh(self, images_BCYX: Tensor) -> Tensor:
        """How alike each pixel is to its neighbours (B, N, Y, X), from 0 to 1."""
        rows, columns = images_BCYX.shape[-2:]
        places_1CYX = torch.stack(
            torch.meshgrid(*(torch.arange(count, device=images_BCYX.device) for count in (rows, columns)), indexing="ij")
        )[None].float()
        with torch.autocast(images_BCYX.device.type, enabled=False):  # which would round colours
            colours_BCYX = torch.einsum("ij,bjyx->biyx", images_BCYX.new_tensor(YUV), 255 * images_BCYX)
        places_1NYX = (self._compare(places_1CYX) ** 2).sum(dim=1)
        colours_BCNYX = self._compare(colours_BCYX) ** 2
        far_BNYX = places_1NYX / self.place + colours_BCNYX[:, 0] / self.brightness + colours_BCNYX[:, 1:].sum(dim=1) / self.hue
        return (-far_BNYX / 2).exp()

    def _compare(self, maps_BCYX: Tensor) -> Tensor:
        """How each pixel differs from its neighbours (B, C, N, Y, X); beyond the border are the pixels next to it."""
        rows, columns = maps_BCYX.shape[-2:]
        padded = functional.pad(maps_BCYX, (self.distance,) * 4, mode="replicate")
        moved = [padded[..., self.distance * (1 + row) :, self.distance * (1 + column) :][..., :rows, :columns] for row, column in AROUND]
        return maps_BCYX[:, :, None] - torch.stack(moved, dim=2)
