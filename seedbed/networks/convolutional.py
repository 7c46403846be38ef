"""Convolutional networks of timm as a source of patch features: maps of several stages, joined.

Shapes: B images, C image channels, D channels of all stages together, y x patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.methods import parameters
from seedbed.networks.backbones import Backbone
from seedbed.networks.weights import InitialWeights


@parameters
class FrozenTrunk:
    """A convolutional network without its head, which does not learn."""

    network: str  # any convolutional network of timm, such as resnet50, or resnet38
    output_stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of its last map: 8, 16 or 32
    dilated: bool  # whether dilation makes up for strides that output_stride removes
    initial_weights: InitialWeights

    def build(self) -> Backbone:
        """The network with random weights."""
        return Backbone(self.network, output_stride=self.output_stride, dilated=self.dilated)


class JoinedStages(nn.Module):
    """A frozen network whose stages together give a vector for each patch."""

    def __init__(self, backbone: Backbone, *, stages: Sequence[int], unit: bool, patch_size: int) -> None:
        """stages: counted from the end, 1 is the last; unit: whether vectors of each stage have length 1 before they are joined."""
        super().__init__()
        self.backbone = backbone
        self.stages, self.unit, self.patch_size = tuple(stages), unit, patch_size
        self.components: PrincipalComponents | None = None  # to reduce its vectors with, if they were fitted beforehand
        widths = self.backbone.widths(max(stages), asked_by="stages")
        self.width = sum(widths[-stage] for stage in stages)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Vectors (B, y, x, D) of images whose sides are multiples of the patch size."""
        maps = self.backbone.maps(images_BCYX, count=max(self.stages))
        size = (images_BCYX.shape[-2] // self.patch_size, images_BCYX.shape[-1] // self.patch_size)
        chosen = [maps[-stage] for stage in self.stages]
        if self.unit:
            chosen = [functional.normalize(one, dim=1) for one in chosen]
        resized = [functional.interpolate(one, size=size, mode="bilinear", align_corners=False, antialias=True) for one in chosen]
        return torch.cat(resized, dim=1).permute(0, 2, 3, 1)
