"""A decoder, which paints an image from maps of lower resolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

SMALLEST = 1e-5  # added to the deviation of a sample


class Decoder(nn.Module):
    """Convolutions, then steps each of which doubles the resolution, up to an image of values between -1 and 1."""

    def __init__(self, num_maps: int, widths: Sequence[int]) -> None:
        """widths: channels of the first layers, then behind each doubling."""
        super().__init__()
        first, *_ = widths
        self.first = Layer(num_maps, first, reflected=True, bias=False)
        self.residual = nn.Sequential(Layer(first, first), Layer(first, first, activated=False))
        self.doublings = nn.Sequential(*(_doubling(width, following) for width, following in pairwise(widths)))
        self.last = nn.Conv2d(widths[-1], 3, kernel_size=3, padding=1)

    def forward(self, maps_BKyx: Tensor) -> Tensor:
        """Images (B, 3, Y, X)."""
        features_BDyx = self.first(maps_BKyx)
        features_BDyx = features_BDyx + self.residual(features_BDyx)
        painted: Tensor = self.last(self.doublings(features_BDyx)).tanh()
        return painted


class Layer(nn.Sequential):
    """A 3x3 convolution, and the norm of what it gives for each sample."""

    def __init__(self, width: int, following: int, *, activated: bool = True, reflected: bool = False, bias: bool = True) -> None:
        """following: channels that it gives; reflected: whether images go on beyond their border as in a mirror, not with zeros."""
        mode: Literal["reflect", "zeros"] = "reflect" if reflected else "zeros"
        convolution = nn.Conv2d(width, following, kernel_size=3, padding=1, padding_mode=mode, bias=bias)
        super().__init__(convolution, SampleNorm(following), *([nn.ReLU()] if activated else []))


class SampleNorm(nn.Module):
    """All values of a sample together are brought to mean 0 and deviation 1; then each channel is scaled and moved by what is learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, features_BDyx: Tensor) -> Tensor:
        """Features of the same shape."""
        mean_B111 = features_BDyx.mean(dim=(1, 2, 3), keepdim=True)
        deviation_B111 = features_BDyx.std(dim=(1, 2, 3), keepdim=True)
        normal_BDyx = (features_BDyx - mean_B111) / (deviation_B111 + SMALLEST)
        return normal_BDyx * self.weight[:, None, None] + self.bias[:, None, None]


def _doubling(width: int, following: int) -> nn.Sequential:
    transposed = nn.ConvTranspose2d(width, width, kernel_size=4, stride=2, padding=1, bias=False)
    return nn.Sequential(transposed, nn.InstanceNorm2d(width), nn.ReLU(), Layer(width, following))
