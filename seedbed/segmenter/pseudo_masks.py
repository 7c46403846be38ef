"""DeepLab with atrous spatial pyramid pooling, trained with cross-entropy on pseudo masks.

Paper: Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected
CRFs", TPAMI 2018.

Labels of low confidence can be left out (`least_confidence`), where they come with a confidence, as those of `refinement` do.

Differs from the paper: backbone, its weights and every constant are parameters. Logits of every size of the input are brought to the size
of pixels, where labels are; the largest logit over sizes has no loss of its own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from seedbed import segmenter
from seedbed.learning.augmentation import Augmentation, Scale
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import Inherited, SegmentationNetwork
from seedbed.networks.deeplab import DeepLab, at_scales, combine_losses
from seedbed.types import IGNORE, PARTS


@method
class PseudoMasks(segmenter.MultiscaleMethod):
    maps: ClassVar[tuple[str, ...]] = ("labels", "confidence")

    backbone: Trunk
    rates: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]  # dilation of each branch; logits are summed
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which views are resized; each gives a loss
    over_scales: Literal["mean", "sum"]  # how the losses of all scales are combined
    least_confidence: Annotated[float, Field(ge=0, le=1)]  # labels of lower confidence are ignored; 0: none are, nor is confidence read
    augmentation: Augmentation
    training: Training
    descent: Descent

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        return self.maps if self.least_confidence else ("labels",)

    def network(self, num_classes: int) -> DeepLab:
        return DeepLab(self.backbone.build(), num_classes, self.rates)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[SegmentationNetwork, Batch]:
        return CrossEntropyLearner(DeepLab(self.backbone.initialise(start=given.states.get("start", {})), num_classes, self.rates), self)


class CrossEntropyLearner(Learner[SegmentationNetwork, Batch]):
    """Cross-entropy of the labelled pixels, at the resolution of the labels."""

    network: DeepLab

    def __init__(self, network: DeepLab, method: PseudoMasks) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        labels_BYX = batch.maps_BYX["labels"]
        if self.method.least_confidence:
            labels_BYX = labels_BYX.where(batch.maps_BYX["confidence"] >= PARTS * self.method.least_confidence, IGNORE)
        totals = [
            functional.cross_entropy(logits, labels_BYX, ignore_index=IGNORE, reduction="sum")
            for logits in at_scales(self.network, batch.images_BCYX, self.method.scales)
        ]
        return {"labels": combine_losses(totals, self.method.over_scales) / (labels_BYX != IGNORE).sum().clamp(min=1)}

    def optimizers(self) -> list[Scheduled]:
        return [self.method.descent.schedule(self.network.backbone, self.network.branches)]
