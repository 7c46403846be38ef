"""DeepLab learns which pixels are of an object from saliency, and of which class they are from a classifier that looks at what it leaves.

No pseudo masks are made. Classes of an image are drawn at random, and erased from it by the network's own probabilities; a classifier
that has learned before, and stays as it is, must then see the others and not these. So what is of a class, and no more, is worth erasing.

Paper: Seoul National University dissertation of 2022, chapter 2.

Differs from the paper: it does not say by the probabilities of which size of the input the image is erased (`erased_by`), nor what an image
without any class teaches: its objects are ignored here, its background is not. What is erased takes the mean colour that the classifier
subtracts, unless `erased_colour` says another; the paper's is the mean of the training images. Saliency and probabilities are compared at
the size of the input. A network may start from any weights; the paper's has learned from masks of COCO, and so has seen masks.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from seedbed import segmenter
from seedbed.algorithms.label_growing import balanced_loss
from seedbed.learning.augmentation import Augmentation, Byte, Scale
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Frozen, Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import ClassifierNetwork, Inherited, SegmentationNetwork
from seedbed.networks.deeplab import DeepLab, at_scales, combine_losses
from seedbed.types import IGNORE


@method
class Masking(segmenter.MultiscaleMethod):
    maps: ClassVar[tuple[str, ...]] = ("objects",)

    backbone: Trunk
    rates: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]  # dilation of each branch; logits are summed
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which views are resized; each gives a loss of saliency
    over_scales: Literal["mean", "sum"]  # how these losses are combined
    attention: Annotated[float, Field(ge=0, le=1000)]  # paper: lambda_seg; weight of the classifier's loss; 0: no classifier is read
    paths: Annotated[int, Field(ge=1, le=100)]  # paper: N; draws of erased classes, whose losses are averaged
    erased_share: Annotated[float, Field(ge=0, le=1)]  # paper: a half; probability that a class of the image is erased in a path
    erased_by: Literal["first_scale", "mean"]  # inferred; probabilities that erase: those of the first of the scales, or the mean of all
    erased_colour: tuple[Byte, ...]  # paper: mu; red, green and blue of what is erased; empty: the mean that the classifier subtracts
    augmentation: Augmentation
    training: Training
    descent: Descent

    @model_validator(mode="after")
    def _check_colour(self) -> Self:
        if len(self.erased_colour) not in (0, 3):
            raise ValueError("an erased_colour of three numbers, or of none")
        return self

    @property
    def reads_classifier(self) -> bool:
        return self.attention > 0

    @property
    def views_of_classifier(self) -> int:
        return self.paths if self.reads_classifier else 0

    def network(self, num_classes: int) -> DeepLab:
        return DeepLab(self.backbone.build(), num_classes, self.rates)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[SegmentationNetwork, Batch]:
        network = DeepLab(self.backbone.initialise(start=given.states.get("start", {})), num_classes, self.rates)
        return MaskingLearner(network, self, given.classifier)


class MaskingLearner(Learner[SegmentationNetwork, Batch]):
    """The loss of saliency, and that of a classifier which sees what is left of the image."""

    network: DeepLab

    def __init__(self, network: DeepLab, method: Masking, classifier: ClassifierNetwork | None) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self.classifier = None if classifier is None or not method.reads_classifier else Frozen(classifier)

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        method, present_BK = self.method, batch.labels_BK[:, 1:] > 0
        answers = [logits.log_softmax(dim=1) for logits in at_scales(self.network, batch.images_BCYX, method.scales)]
        objects_BYX = batch.maps_BYX["objects"]
        objects_BYX = objects_BYX.where((objects_BYX != 1) | present_BK.any(dim=1)[:, None, None], IGNORE)
        losses = [balanced_loss(join_classes(answer, present_BK), objects_BYX) for answer in answers]
        terms = {"saliency": combine_losses(losses, method.over_scales)}
        if self.classifier is not None:
            erasing = answers[0].exp() if method.erased_by == "first_scale" else torch.stack([one.exp() for one in answers]).mean(dim=0)
            paths = [self._judge(batch.images_BCYX, erasing[:, 1:], present_BK) for _ in range(method.paths)]
            terms["attention"] = method.attention * torch.stack(paths).mean()
        return terms

    def _judge(self, images_BCYX: Tensor, answers_BKYX: Tensor, present_BK: Tensor) -> Tensor:
        """The classifier's loss of images from which some classes are erased."""
        assert self.classifier is not None
        erased_BK = present_BK & (torch.rand(present_BK.shape, device=present_BK.device) < self.method.erased_share)  # paper: b
        _, logits_BK = self.classifier(erase(images_BCYX, answers_BKYX, erased_BK, colour_1C11=self._colour(images_BCYX)))
        losses_BK = functional.binary_cross_entropy_with_logits(logits_BK.float(), (present_BK & ~erased_BK).float(), reduction="none")
        return ((losses_BK * present_BK).sum(dim=1) / present_BK.sum(dim=1).clamp(min=1)).mean()

    def _colour(self, images_BCYX: Tensor) -> Tensor:
        """The colour of what is erased (1, C, 1, 1)."""
        assert self.classifier is not None
        if not self.method.erased_colour:
            return self.classifier.network.backbone.mean
        return images_BCYX.new_tensor(self.method.erased_colour).view(1, 3, 1, 1) / 255

    def optimizers(self) -> list[Scheduled]:
        return [self.method.descent.schedule(self.network.backbone, self.network.branches)]


def join_classes(logs_BKYX: Tensor, present_BK: Tensor) -> Tensor:
    """Logarithms of the probabilities (B, 2, Y, X) of background, and of all classes together that the image contains.

    logs_BKYX: of background, at index 0, and all classes; present_BK: without background.
    """
    absent_BK11 = ~present_BK[:, :, None, None]
    smallest = torch.finfo(logs_BKYX.dtype).min  # of an image without classes; infinity would have no gradient
    return torch.stack([logs_BKYX[:, 0], logs_BKYX[:, 1:].masked_fill(absent_BK11, smallest).logsumexp(dim=1)], dim=1)


def erase(images_BCYX: Tensor, answers_BKYX: Tensor, erased_BK: Tensor, *, colour_1C11: Tensor) -> Tensor:
    """Images in which some classes are erased, as far as they are probable.

    answers_BKYX: probabilities of all classes; erased_BK: the ones that are erased, both without background.
    """
    kept_B1YX = 1 - (answers_BKYX * erased_BK[:, :, None, None]).sum(dim=1, keepdim=True)  # paper: F
    return kept_B1YX * (images_BCYX - colour_1C11) + colour_1C11
