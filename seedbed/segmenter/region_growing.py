"""DeepLab learns from a few sure pixels, and labels grow into whole superpixels as soon as the network is sure of them.

In every step a superpixel without a label takes the class that the network gives it on average, if it gives it more than a threshold.
What is grown is forgotten with the step: labels begin from the seeds each time, and the network carries the progress. Superpixels may lie
in several pieces, so labels reach parts of an object that its seed does not touch.

Paper: Seoul National University dissertation of 2022, chapter 3; Kim et al., "Semantic-Aware Superpixel for Weakly Supervised
Semantic Segmentation", AAAI 2023. The loss is that of Huang et al., "Weakly-Supervised Semantic Segmentation Network with Deep Seeded
Region Growing", CVPR 2018.

Differs from the paper: only background and classes that the image is known to contain may grow (`present_only`), which it does not say;
labels and superpixels are those of pixels, and the network's answers are brought to their size; over several sizes of the input, the mean
answer decides what grows, and every size learns from the result. Of what sizes lose, the chapter says nothing, and chapter 2, which has the
same sizes, takes the sum.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from seedbed import segmenter
from seedbed.algorithms.label_growing import balanced_loss, grow
from seedbed.learning.augmentation import Augmentation, Scale
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import Inherited, SegmentationNetwork
from seedbed.networks.deeplab import DeepLab, at_scales, combine_losses
from seedbed.types import IGNORE

Probability = Annotated[float, Field(ge=0, le=1)]


@method
class RegionGrowing(segmenter.MultiscaleMethod):
    maps: ClassVar[tuple[str, ...]] = ("labels", "regions")

    backbone: Trunk
    rates: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]  # dilation of each branch; logits are summed
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which views are resized; each gives a loss
    over_scales: Literal["mean", "sum"]  # how the losses of all scales are combined
    foreground: Probability  # paper: beta; a superpixel takes a class whose mean probability is above this
    background: Probability  # the same for background
    present_only: bool  # whether superpixels may only take classes that the image contains
    augmentation: Augmentation
    training: Training
    descent: Descent

    def network(self, num_classes: int) -> SegmentationNetwork:
        return DeepLab(self.backbone.build(), num_classes, self.rates)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[SegmentationNetwork, Batch]:
        return GrowingLearner(DeepLab(self.backbone.initialise(start=given.states.get("start", {})), num_classes, self.rates), self)


class GrowingLearner(Learner[SegmentationNetwork, Batch]):
    """The balanced loss of seeds that have grown."""

    network: DeepLab

    def __init__(self, network: DeepLab, method: RegionGrowing) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self._figures: dict[str, Tensor] = {}

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        answers, labels_BYX = self.grow_seeds(batch)
        shown = batch.maps_BYX["regions"] >= 0
        self._figures = {
            "seeded": (batch.maps_BYX["labels"] != IGNORE)[shown].float().mean(),
            "labelled": (labels_BYX != IGNORE)[shown].float().mean(),
        }
        return {"seeds": combine_losses([balanced_loss(answer, labels_BYX) for answer in answers], self.method.over_scales)}

    def grow_seeds(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Logarithms of probabilities (B, 1 + K, Y, X) at each scale, and the labels that seeds grow to by their mean."""
        method = self.method
        answers = [logits.log_softmax(dim=1) for logits in at_scales(self.network, batch.images_BCYX, method.scales)]
        with torch.no_grad():
            labels_BYX = grow(
                batch.maps_BYX["labels"],
                batch.maps_BYX["regions"],
                torch.stack([answer.exp() for answer in answers]).mean(dim=0),
                present_BK=batch.labels_BK.bool() if method.present_only else torch.ones_like(batch.labels_BK, dtype=torch.bool),
                foreground=method.foreground,
                background=method.background,
            )
        return answers, labels_BYX

    def optimizers(self) -> list[Scheduled]:
        return [self.method.descent.schedule(self.network.backbone, self.network.branches)]

    def measure_batch(self) -> dict[str, Tensor]:
        return self._figures
