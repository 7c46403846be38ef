"""DeepLab with atrous spatial pyramid pooling, trained with cross-entropy on whatever labels there are.

Paper: Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected
CRFs", TPAMI 2018.

Differs from the paper: inputs of one scale in training; backbone, its weights and every constant are parameters.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed import segmenter
from seedbed.augmentation import Augmentation
from seedbed.methods import method
from seedbed.networks import Backbone, SegmentationNetwork, Trunk
from seedbed.training import Batch, Descent, Learner, Scheduled, Training
from seedbed.types import IGNORE


@method
class PseudoMasks(segmenter.Method):
    maps: ClassVar[tuple[str, ...]] = ("labels",)

    backbone: Trunk
    rates: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]  # dilation of the branches that are summed
    augmentation: Augmentation
    training: Training
    descent: Descent

    def network(self, num_classes: int) -> DeepLab:
        return DeepLab(self.backbone.built(), num_classes, self.rates)

    def learner(self, num_classes: int) -> Learner[SegmentationNetwork, Batch]:
        return CrossEntropyLearner(DeepLab(self.backbone.initialised(), num_classes, self.rates), self.descent)


class DeepLab(SegmentationNetwork):
    """Backbone, then 3x3 convolutions of several dilations, summed."""

    def __init__(self, backbone: Backbone, num_classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = nn.ModuleList(
            nn.Conv2d(backbone.num_features, 1 + num_classes, kernel_size=3, padding=rate, dilation=rate) for rate in rates
        )
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d) and branch.bias is not None
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        features = self.backbone(images_BCYX)
        return torch.stack([branch(features) for branch in self.branches]).sum(dim=0)


class CrossEntropyLearner(Learner[SegmentationNetwork, Batch]):
    """Cross-entropy of the labelled pixels, at the resolution of the labels."""

    network: DeepLab

    def __init__(self, network: DeepLab, descent: Descent) -> None:
        super().__init__()
        self.network = network
        self._descent = descent

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        labels_BYX = batch.maps_BYX["labels"]
        logits = functional.interpolate(self.network(batch.images_BCYX), size=labels_BYX.shape[1:], mode="bilinear", align_corners=False)
        total = functional.cross_entropy(logits, labels_BYX, ignore_index=IGNORE, reduction="sum")
        return {"labels": total / (labels_BYX != IGNORE).sum().clamp(min=1)}

    def optimizers(self) -> list[Scheduled]:
        return [self._descent.scheduled(self.network.backbone, self.network.branches)]
