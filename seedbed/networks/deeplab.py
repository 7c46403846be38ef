"""DeepLab with atrous spatial pyramid pooling, the segmentation network of every segmenter.

Paper: Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected
CRFs", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import SegmentationNetwork


class Pyramid(nn.ModuleList):
    """3x3 convolutions with several dilations, whose answers are summed."""

    def __init__(self, channels: int, answers: int, rates: Sequence[int]) -> None:
        super().__init__(nn.Conv2d(channels, answers, kernel_size=3, padding=rate, dilation=rate) for rate in rates)
        for branch in self:
            assert isinstance(branch, nn.Conv2d) and branch.bias is not None
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, features_BDyx: Tensor) -> Tensor:
        return torch.stack([branch(features_BDyx) for branch in self]).sum(dim=0)


class DeepLab(SegmentationNetwork):
    """A backbone, then a pyramid."""

    def __init__(self, backbone: Backbone, num_classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = Pyramid(backbone.num_features, 1 + num_classes, rates)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x)."""
        logits_BKyx: Tensor = self.branches(self.backbone(images_BCYX))
        return logits_BKyx


def at_scales(network: nn.Module, images_BCYX: Tensor, scales: Sequence[float]) -> Iterator[Tensor]:
    """A network's logits for images at several scales, each resized to the size of the images."""
    size = images_BCYX.shape[-2:]
    for scale in scales:
        scaled = images_BCYX
        if scale != 1:
            scaled = functional.interpolate(images_BCYX, scale_factor=scale, mode="bilinear", align_corners=False)
        logits: Tensor = network(scaled)
        yield functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def combine_losses(losses: Sequence[Tensor], rule: Literal["mean", "sum"]) -> Tensor:
    """Combine the losses of all scales."""
    stacked = torch.stack(list(losses))
    return stacked.sum() if rule == "sum" else stacked.mean()
