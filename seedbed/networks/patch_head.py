"""A small network over the vectors of patches, which labels them.

Shapes: B images, D channels, K classes without background, y x patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from seedbed.methods import parameters
from seedbed.networks.contracts import PatchSegmenter, SegmentationNetwork, State

SMALLEST_DEVIATION = 1e-6  # a channel that varies less is left as it is: what is new in another image must not count a million times


@parameters
class Head:
    """The layers of a small network."""

    widths: tuple[Annotated[int, Field(ge=1, le=10_000)], ...]  # channels of its hidden layers; empty: it is linear
    kernel: Annotated[int, Field(ge=1, le=99)]  # edge of its convolutions, in patches, odd; 1: each patch is labelled alone
    coordinates: bool  # whether it is told where in the image a patch lies

    @model_validator(mode="after")
    def _check_kernel(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError("an odd kernel")
        return self

    def build(self, num_channels: int, num_classes: int) -> PatchHead:
        """The network with random weights.

        num_channels: of the vectors; num_classes: without background.
        """
        return PatchHead(num_channels, num_classes, widths=self.widths, kernel=self.kernel, coordinates=self.coordinates)


class PatchHead(PatchSegmenter):
    """Convolutions with rectifiers between them, over channels that are brought to a mean of 0 and a deviation of 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, num_channels: int, num_classes: int, *, widths: Sequence[int], kernel: int, coordinates: bool) -> None:
        super().__init__()
        self.coordinates = coordinates
        self.register_buffer("mean", torch.zeros(num_channels))
        self.register_buffer("deviation", torch.ones(num_channels))
        wide = [num_channels + 2 * coordinates, *widths, 1 + num_classes]
        layers: list[nn.Module] = []
        for number, (inner, outer) in enumerate(pairwise(wide)):
            layers += [nn.ReLU()] if number else []
            layers.append(nn.Conv2d(inner, outer, kernel_size=kernel, padding=kernel // 2))
        self.layers = nn.Sequential(*layers)

    def standardise(self, channels: State) -> None:
        """Set what vectors are standardised by.

        channels: `mean` and `deviation` (D).
        """
        self.mean.copy_(channels["mean"])
        deviation = channels["deviation"]
        self.deviation.copy_(deviation.where(deviation > SMALLEST_DEVIATION, 1.0))

    def forward(self, patches_BDyx: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x)."""
        values = (patches_BDyx - self.mean[:, None, None]) / self.deviation[:, None, None]
        if self.coordinates:
            values = torch.cat([values, _locate(values)], dim=1)
        logits: Tensor = self.layers(values)
        return logits


def _locate(values_BDyx: Tensor) -> Tensor:
    """Where each patch lies (B, 2, y, x): its centre's row and column, from -1 to 1 over the image."""
    batch, _, rows, columns = values_BDyx.shape
    axes = [(torch.arange(count, device=values_BDyx.device, dtype=values_BDyx.dtype) * 2 + 1) / count - 1 for count in (rows, columns)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(batch, 2, rows, columns)


class JoinedSegmenter(SegmentationNetwork):
    """What describes patches, and the head that labels them, as one network."""

    def __init__(self, describer: nn.Module, head: PatchSegmenter) -> None:
        """describer: from images (B, C, Y, X) to vectors (B, D, y, x)."""
        super().__init__()
        self.describer = describer
        self.head = head

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x)."""
        logits: Tensor = self.head(self.describer(images_BCYX))
        return logits
