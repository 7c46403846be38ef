"""A classifier of places, which learns from labels of an earlier round, and whose class maps begin the next one.

Labels of one round say where classes are, and where background is; what they leave open is not learned. They are wrong in places, so the
probability of a label shall not come near 1, and places of classes and of background count alike, however many there are of each. Which
classes an image contains is known, and features are weighted by that (`conditioned`). Class maps are probabilities. Beside that, places may
be told from backgrounds and from other classes, as in `fbr`.

Paper: Lee et al., "Threshold Matters in WSSS: Manipulating the Activation for the Robust and Accurate Segmentation Against Thresholds",
CVPR 2022; with contrast: Yin et al., "Fine-grained Background Representation for Weakly Supervised Semantic Segmentation", 2024 (arXiv
2406.15755), which is published for it, too.

Differs from the paper: over scales and mirror images, probabilities are summed, not logits averaged; and maps are only divided by their
highest value, where the first paper's code stretches them from 0 to 1 wherever the labels that were learned from show no background. What
ends a training is its length, not the truth of the training images. Prototypes are of classes that images contain. What asks has a
gradient, and is compared along the right axis (see `fbr`). The score of a class is that of its likeliest place: there, none is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed import classifier
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.bank import Bank
from seedbed.learning.batches import Batch
from seedbed.learning.contrast import Contrast, Projections, Seen, compare_places, estimate_compared
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Optimiser, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.contracts import ClassifierNetwork, Inherited
from seedbed.networks.deeplab import Pyramid
from seedbed.types import IGNORE

SMALLEST = 1e-5  # difference between the highest and lowest probability of a map that is not flat
SUREST = 1e-6  # distance of a probability from 0 and 1, whose logit is taken


@method
class Amn(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ("labels",)

    backbone: Trunk
    conditioned: bool  # whether features are multiplied by a linear function of the classes that the image contains, as in the paper
    rates: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]  # dilation of each branch; logits are summed
    dropout: Annotated[float, Field(ge=0, lt=1)]  # paper: 0.1; share of features that is left out at random
    smoothing: Annotated[float, Field(ge=0, lt=1)]  # paper: epsilon, 0.4; probability that is left to all other labels together
    contrast: Contrast
    augmentation: Augmentation
    training: Training
    optimiser: Optimiser

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        return self.maps

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        images = self.training.batch_size // self.training.micro_batches
        places = images * (-(-self.augmentation.crop // self.backbone.output_stride)) ** 2
        learned = estimate_memory(network, self.training, [self.augmentation.crop], moments=self.optimiser.moments)
        return learned + estimate_compared(self.contrast, places, banks=1)

    def network(self, num_classes: int) -> AmnNetwork:
        return AmnNetwork(self.backbone.build(), num_classes, self)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Batch]:
        return AmnLearner(AmnNetwork(self.backbone.initialise(start={}), num_classes, self), self)


class AmnNetwork(ClassifierNetwork):
    """Backbone, whose features are weighted by the classes of the image, then a pyramid."""

    def __init__(self, backbone: Backbone, num_classes: int, method: Amn) -> None:
        super().__init__()
        self.backbone = backbone
        self.condition = nn.Linear(num_classes, backbone.num_features) if method.conditioned else None
        self.dropout = nn.Dropout(method.dropout)
        self.branches = Pyramid(backbone.num_features, 1 + num_classes, method.rates)
        self._num_classes = num_classes

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Class maps and logits, as if each image contained every class."""
        return self.see(images_BCYX, [tuple(range(1, 1 + self._num_classes))] * len(images_BCYX))

    def see(self, images_BCYX: Tensor, classes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        labels_BK = torch.zeros(len(images_BCYX), self._num_classes, device=images_BCYX.device)
        for labels_K, present in zip(labels_BK, classes, strict=True):
            labels_K[[label - 1 for label in present]] = 1
        _, logits_BKyx = self.learn(images_BCYX, labels_BK)
        probable_BKyx = logits_BKyx.float().softmax(dim=1)[:, 1:]
        return probable_BKyx, probable_BKyx.amax(dim=(2, 3)).logit(eps=SUREST)

    def learn(self, images_BCYX: Tensor, labels_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D, y, x) and logits (B, 1 + K, y, x) of images that contain these classes."""
        features_BDyx = self.backbone(images_BCYX)
        if self.condition is not None:
            features_BDyx = features_BDyx * self.condition(labels_BK)[:, :, None, None]
        return features_BDyx, self.branches(self.dropout(features_BDyx))


class AmnLearner(Learner[ClassifierNetwork, Batch]):
    """Smoothed cross-entropy of labelled places, and how places differ from backgrounds and other classes."""

    network: AmnNetwork

    def __init__(self, network: AmnNetwork, method: Amn) -> None:
        super().__init__()
        self.network = network
        self.method = method
        contrast = method.contrast
        self.projections = None if contrast.off else Projections(network.backbone.num_features, contrast.width)
        self.bank = Bank(contrast.capacity, contrast.width) if contrast.background else None

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        present_BK, contrast = batch.labels_BK[:, 1:], self.method.contrast
        features_BDyx, logits_BKyx = self.network.learn(batch.images_BCYX, present_BK)
        logits_BKyx = logits_BKyx.float()
        terms = {"labels": measure_smoothed(logits_BKyx, batch.maps_BYX["labels"], self.method.smoothing)}
        if self.projections is not None:
            foreground_BDyx = self.projections.foreground(features_BDyx).float().relu()
            background_BDyx = self.projections.background(features_BDyx).float().relu()
            if contrast.apart:
                terms["apart"] = contrast.apart * functional.cosine_similarity(foreground_BDyx, background_BDyx, dim=1).mean()
            if contrast.background or contrast.foreground:
                terms |= compare_places(foreground_BDyx, background_BDyx, look(logits_BKyx.detach(), present_BK), contrast, self.bank)
        return terms

    def optimizers(self) -> list[Scheduled]:
        new = [self.network.condition, self.network.branches, self.projections]
        return [self.method.optimiser.schedule(self.network.backbone, *(one for one in new if one is not None))]


def measure_smoothed(logits_BKyx: Tensor, labels_BYX: Tensor, smoothing: float) -> Tensor:
    """Mean of the cross-entropies of background and of classes, each a mean over its places; without places, it is 0.

    smoothing: probability that is shared by all labels but the one that a place has.
    """
    labels_Byx = functional.interpolate(labels_BYX[:, None].float(), size=logits_BKyx.shape[2:], mode="nearest-exact")[:, 0].long()
    log_BKyx, known_Byx = logits_BKyx.log_softmax(dim=1), labels_Byx != IGNORE
    own_Byx = log_BKyx.gather(1, labels_Byx.where(known_Byx, 0)[:, None])[:, 0]
    others_Byx = (log_BKyx.sum(dim=1) - own_Byx) / (logits_BKyx.shape[1] - 1)
    entropy_Byx = -(1 - smoothing) * own_Byx - smoothing * others_Byx
    halves = [(entropy_Byx * chosen).sum() / chosen.sum().clamp(min=1) for chosen in (labels_Byx == 0, known_Byx & (labels_Byx > 0))]
    return torch.stack(halves).mean()


def look(logits_BKyx: Tensor, present_BK: Tensor) -> Seen:
    """Where logits show what: probabilities, each label's from 0 to 1 in each image; absent classes are not seen."""
    probable_BKyx = logits_BKyx.softmax(dim=1)
    lowest_BK11, highest_BK11 = probable_BKyx.amin(dim=(2, 3), keepdim=True), probable_BKyx.amax(dim=(2, 3), keepdim=True)
    scores_BKyx = (probable_BKyx - lowest_BK11) / (highest_BK11 - lowest_BK11 + SMALLEST)
    scores_BKyx = scores_BKyx * functional.pad(present_BK, (1, 0), value=1.0)[:, :, None, None]
    return Seen(scores_BKyx, probable_BKyx, scores_BKyx.argmax(dim=1))
