"""A classifier that also learns from what dilated convolutions see, and so finds more of an object than its most telling parts.

Behind the backbone, a standard block of three convolutions makes class maps. During training, dilated blocks beside it make class maps of
their own. Where the mean of those is higher, the standard block is drawn towards it, so that evidence spreads from the most telling parts
of an object to others. Only backbone and standard block are kept.

Paper: Seoul National University dissertation of 2022, chapter 2.

Differs from the paper: backbone, its weights and every training constant are parameters. Inferred, because the paper does not say:
dense maps, which are the target, give no gradient; dropout, which the fully connected layers of VGG have that blocks replace; the normal
distribution of initial weights; offsets in all layers, which begin at 0; that losses are means over images, each seen at one scale; that
"the last layers", which learn faster, are those of all blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed import classifier
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.contracts import ClassifierNetwork, Inherited

Rate = Annotated[int, Field(ge=1, le=1024)]


@method
class Masking(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ()

    backbone: Trunk
    width: Annotated[int, Field(ge=1, le=100_000)]  # paper: 1024; channels within a block
    rates: tuple[Rate, ...]  # paper: 3 to 24 in steps of 3; dilation of each dilated block; none: a plain classifier with a deeper head
    dense_weight: Annotated[float, Field(ge=0, le=1e6)]  # paper: lambda_cls, 0.1; of the difference from the dense maps
    dropout: Annotated[float, Field(ge=0, lt=1)]  # inferred; share of a block's values that is left out at random while it learns
    deviation: Annotated[float, Field(ge=0, le=100)]  # inferred; of a block's initial weights; 0: as He et al. for the number of inputs
    augmentation: Augmentation
    training: Training
    descent: Descent

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            backbone = self.backbone.build()
            blocks = Blocks(self._build_block(backbone, extents["class"] - 1, rate=rate) for rate in (1, *self.rates))
        return estimate_memory(nn.Sequential(backbone, blocks), self.training, [self.augmentation.crop])

    def network(self, num_classes: int) -> BlockNetwork:
        backbone = self.backbone.build()
        return BlockNetwork(backbone, self._build_block(backbone, num_classes, rate=1))

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Batch]:
        backbone = self.backbone.initialise(start={})
        standard, *dilated = (self._build_block(backbone, num_classes, rate=rate) for rate in (1, *self.rates))
        return MaskingLearner(BlockNetwork(backbone, standard), Blocks(dilated), self.dense_weight, self.descent)

    def _build_block(self, backbone: Backbone, num_classes: int, *, rate: int) -> nn.Sequential:
        """Three convolutions from features to maps of the same size.

        rate: dilation of the first.
        """
        layers = [
            nn.Conv2d(backbone.num_features, self.width, kernel_size=3, padding=rate, dilation=rate),
            nn.Conv2d(self.width, self.width, kernel_size=3, padding=1),
            nn.Conv2d(self.width, num_classes, kernel_size=1),
        ]
        for layer in layers:
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            if self.deviation:
                nn.init.normal_(layer.weight, std=self.deviation)
            else:
                nn.init.kaiming_normal_(layer.weight)
        first, second, last = layers
        return nn.Sequential(first, nn.ReLU(), nn.Dropout(self.dropout), second, nn.ReLU(), nn.Dropout(self.dropout), last)


class Blocks(nn.ModuleList):
    """Blocks side by side."""

    def forward(self, features_BDyx: Tensor) -> list[Tensor]:
        """Class maps (B, K, y, x) of every block."""
        return [block(features_BDyx) for block in self]


class BlockNetwork(ClassifierNetwork):
    """Backbone, then the standard block."""

    def __init__(self, backbone: Backbone, block: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.block = block

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx = self.block(self.backbone(images_BCYX))
        return maps_BKyx, maps_BKyx.mean(dim=(2, 3))


class MaskingLearner(Learner[ClassifierNetwork, Batch]):
    """Binary cross-entropy of every block, and the difference of the standard block's maps from the dense ones."""

    network: BlockNetwork

    def __init__(self, network: BlockNetwork, dilated: Blocks, dense_weight: float, descent: Descent) -> None:
        super().__init__()
        self.network = network
        self.dilated = dilated
        self._dense_weight, self._descent = dense_weight, descent

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        features_BDyx = self.network.backbone(batch.images_BCYX)
        standard_BKyx = self.network.block(features_BDyx).float()
        dilated = [one.float() for one in self.dilated(features_BDyx)]
        labels_BK = batch.labels_BK[:, 1:]
        entropies = [
            functional.binary_cross_entropy_with_logits(maps_BKyx.mean(dim=(2, 3)), labels_BK) for maps_BKyx in (standard_BKyx, *dilated)
        ]
        return {"classes": torch.stack(entropies).sum(), "dense": self._dense_weight * measure_missed(standard_BKyx, dilated, labels_BK)}

    def optimizers(self) -> list[Scheduled]:
        return [self._descent.schedule(self.network.backbone, self.network.block, self.dilated)]


def measure_missed(standard_BKyx: Tensor, dilated: list[Tensor], labels_BK: Tensor) -> Tensor:
    """How much of the dense maps the standard block misses: the mean squared difference of positive parts, 0 for classes that are absent.

    The dense maps are the larger of the standard block's and the mean of the dilated ones'. They are a target, without a gradient.
    """
    if not dilated:
        return standard_BKyx.new_zeros(())
    dense_BKyx = torch.maximum(standard_BKyx, torch.stack(dilated).mean(dim=0)).detach()
    missed_BKyx = (dense_BKyx.relu() - standard_BKyx.relu()).square()
    return (missed_BKyx * labels_BK[:, :, None, None]).mean()
