"""Two DeepLabs learn from masks where these can be trusted, and from each other elsewhere; objects are pasted from image to image.

Both see the same views and begin with the same trunk, but their last layers are drawn independently. A trusted pixel teaches both its
label; at any other pixel each learns what the other says. Views are paired, and some classes of one are pasted over the other. From some
point of the training on, labels of such views are what both networks together say of the two images, trusted where they are sure, and
pixels along the border of what is pasted count more. The first network is kept.

Paper: Rong et al., "Boundary-Enhanced Co-Training for Weakly Supervised Semantic Segmentation" (BECO), CVPR 2023.

Differs from the paper: what it leaves open is as in its published code. There, colours change after pasting; here before, in each image by
itself. There, the logits of both networks are averaged to predict; here one network predicts. Its views lie within the image; here they may
reach beyond it, and what is there, like any pixel without a label, teaches nothing and is not pasted. Pairs lie within a micro-batch, and
within a device's share of it. The learning rate falls towards its last value; there, it falls towards 0 and is held at that value.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from seedbed import segmenter
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Optimiser, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method, parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import Inherited, SegmentationNetwork
from seedbed.networks.deeplab import DeepLab, at_scales
from seedbed.types import BACKGROUND, IGNORE, PARTS

Share = Annotated[float, Field(ge=0, le=1)]


@parameters
class Mixing:
    """How classes of one image are pasted over another."""

    probability: Share  # that a view gets something of the other image of its pair; 0: nothing is pasted
    background: bool  # whether background may be pasted, as any class
    online_from: Share  # share of the training after which mixed views have the networks' own labels; 1: they keep the given ones
    online_confidence: Annotated[
        float, Field(ge=0, lt=1)
    ]  # the networks' labels are trusted, and pasted, where they are more probable than this


@parameters
class Boundary:
    """The border of what is pasted where the networks' own labels are used."""

    size: Annotated[int, Field(ge=1, le=1000)]  # pixels on either side that belong to it
    weight: Annotated[float, Field(ge=0, le=1000)]  # how much more than other pixels they count; 0: no more


@method
class Cotraining(segmenter.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ("labels", "confidence")
    num_networks: ClassVar[int] = 2

    backbone: Trunk
    rates: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)]  # dilation of each branch; logits are summed
    least_confidence: Share  # labels of lower confidence are not trusted; 0: all are, nor is confidence read
    mutual: Annotated[float, Field(ge=0, le=1000)]  # weight of what the networks teach each other; 0: they learn alone
    mixing: Mixing
    boundary: Boundary
    augmentation: Augmentation
    training: Training
    optimiser: Optimiser

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.mixing.probability and self.training.batch_size == self.training.micro_batches:
            raise ValueError("micro-batches of two images or more, which are mixed, or mixing.probability: 0")
        return self

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        return self.maps if self.least_confidence else ("labels",)

    @property
    def moments(self) -> int:
        return self.optimiser.moments

    def network(self, num_classes: int) -> DeepLab:
        return DeepLab(self.backbone.build(), num_classes, self.rates)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[SegmentationNetwork, Batch]:
        trunk = self.backbone.initialise(start=given.states.get("start", {}))
        first, second = (DeepLab(one, num_classes, self.rates) for one in (trunk, copy.deepcopy(trunk)))
        return CotrainingLearner(first, second, self)


@dataclass(frozen=True)
class Lessons:
    """Views, and what there is to learn of their pixels."""

    images_BCYX: Tensor
    labels_BYX: Tensor  # 255: nothing is to be learned
    trusted_BYX: Tensor  # whether the label is to be believed; never where there is none
    border_BYX: Tensor  # whether the pixel is on the border of what was pasted


class CotrainingLearner(Learner[SegmentationNetwork, Batch]):
    """Cross-entropy of trusted labels, and of what the other network says, for two networks."""

    network: DeepLab

    def __init__(self, first: DeepLab, second: DeepLab, method: Cotraining) -> None:
        super().__init__()
        self.network = first
        self.second = second
        self.method = method
        self._figures: dict[str, Tensor] = {}

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        method = self.method
        lessons = self.read(batch)
        if method.mixing.probability:
            lessons = self.mix(lessons, online=progress >= method.mixing.online_from)
        weights_BYX = lessons.trusted_BYX * (1 + method.boundary.weight * lessons.border_BYX)
        doubtful_BYX = (lessons.labels_BYX != IGNORE) & ~lessons.trusted_BYX
        first_BKYX, second_BKYX = self.answer(lessons.images_BCYX)
        self._figures = {"trusted": lessons.trusted_BYX.float().mean(), "doubtful": doubtful_BYX.float().mean()}
        return {
            "first": (measure_loss(first_BKYX, lessons.labels_BYX) * weights_BYX).mean(),
            "second": (measure_loss(second_BKYX, lessons.labels_BYX) * weights_BYX).mean(),
            "first_from_second": method.mutual * (measure_loss(first_BKYX, second_BKYX.argmax(dim=1)) * doubtful_BYX).mean(),
            "second_from_first": method.mutual * (measure_loss(second_BKYX, first_BKYX.argmax(dim=1)) * doubtful_BYX).mean(),
        }

    def answer(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, 1 + K, Y, X) of both networks, at the size of the images."""
        [first_BKYX], [second_BKYX] = (at_scales(network, images_BCYX, [1]) for network in (self.network, self.second))
        return first_BKYX, second_BKYX

    def read(self, batch: Batch) -> Lessons:
        """What is given."""
        labels_BYX = batch.maps_BYX["labels"]
        trusted_BYX = labels_BYX != IGNORE
        if self.method.least_confidence:
            trusted_BYX = trusted_BYX & (batch.maps_BYX["confidence"] >= PARTS * self.method.least_confidence)
        return Lessons(batch.images_BCYX, labels_BYX, trusted_BYX, torch.zeros_like(trusted_BYX))

    def mix(self, given: Lessons, *, online: bool) -> Lessons:
        """Paste classes of one view of a pair over the other, and the other way round, with a probability each.

        online: whether views that are drawn for it have the networks' own labels, of both parts, even if nothing is there to be pasted.
        """
        mixing, others_B = self.method.mixing, pair_views(given.labels_BYX)
        mixed_B11 = draw_mixed(others_B, mixing.probability)[:, None, None]
        labelled = self._label(given) if online else given
        candidates_BYX = labelled.labels_BYX.where(labelled.trusted_BYX, IGNORE) if online else labelled.labels_BYX
        shapes_BYX = draw_shapes(candidates_BYX, background=mixing.background)
        pasted_BYX = shapes_BYX[others_B] & mixed_B11

        def paste(own: Tensor, other: Tensor) -> Tensor:
            return other[others_B].where(pasted_BYX, own)

        return Lessons(
            images_BCYX=given.images_BCYX[others_B].where(pasted_BYX[:, None], given.images_BCYX),
            labels_BYX=paste(labelled.labels_BYX.where(mixed_B11, given.labels_BYX), labelled.labels_BYX),
            trusted_BYX=paste(labelled.trusted_BYX.where(mixed_B11, given.trusted_BYX), labelled.trusted_BYX),
            border_BYX=find_border(pasted_BYX, self.method.boundary.size) if online else given.border_BYX,
        )

    @torch.no_grad()
    def _label(self, given: Lessons) -> Lessons:
        """The same views with labels from both networks, in evaluation mode, wherever there is a label at all."""
        training = self.training
        self.eval()
        first_BKYX, second_BKYX = self.answer(given.images_BCYX)
        self.train(training)
        torch.clear_autocast_cache()  # older versions of torch would learn with what they cast here, without gradients
        highest_BYX, labels_BYX = ((first_BKYX + second_BKYX) / 2).softmax(dim=1).max(dim=1)
        known_BYX = given.labels_BYX != IGNORE
        trusted_BYX = known_BYX & (highest_BYX > self.method.mixing.online_confidence)
        return Lessons(given.images_BCYX, labels_BYX.where(known_BYX, IGNORE), trusted_BYX, given.border_BYX)

    def optimizers(self) -> list[Scheduled]:
        both = (self.network, self.second)
        return [self.method.optimiser.schedule(nn.ModuleList(one.backbone for one in both), *(one.branches for one in both))]

    def measure_batch(self) -> dict[str, Tensor]:
        return self._figures


def measure_loss(logits_BKYX: Tensor, labels_BYX: Tensor) -> Tensor:
    """Cross-entropy of every pixel (B, Y, X); 0 where there is no label."""
    return functional.cross_entropy(logits_BKYX, labels_BYX, ignore_index=IGNORE, reduction="none")


def pair_views(views_BYX: Tensor) -> Tensor:
    """For every view, which one it is paired with (B): the first half with the second; an odd last one with itself."""
    half, count = len(views_BYX) // 2, len(views_BYX)
    return torch.tensor([*range(half, 2 * half), *range(half), *range(2 * half, count)], device=views_BYX.device)


def draw_mixed(others_B: Tensor, probability: float) -> Tensor:
    """Whether each view gets something of the one that it is paired with, unless that is itself."""
    own_B = torch.arange(len(others_B), device=others_B.device)
    return (torch.rand(len(others_B), device=others_B.device) < probability) & (others_B != own_B)


def draw_shapes(labels_BYX: Tensor, *, background: bool) -> Tensor:
    """Pixels (B, Y, X) of a half of each image's classes, rounded up, drawn at random.

    background: whether it is a class.
    """
    counted_BN = labels_BYX.flatten(1)
    present_BK = torch.zeros(len(labels_BYX), 1 + IGNORE, dtype=torch.bool, device=labels_BYX.device).scatter(1, counted_BN, True)
    present_BK[:, IGNORE] = False
    present_BK[:, BACKGROUND] &= background
    ranks_BK = torch.rand(present_BK.shape, device=present_BK.device).where(present_BK, 1).argsort(dim=1).argsort(dim=1)
    drawn_BK = present_BK & (ranks_BK < (present_BK.sum(dim=1, keepdim=True) + 1) // 2)
    return drawn_BK.gather(1, counted_BN).view_as(labels_BYX)


def find_border(shapes_BYX: Tensor, size: int) -> Tensor:
    """Pixels (B, Y, X) that are as near as that, in rows and columns, to a pixel on the other side of a shape's outline."""
    inside_BYX = shapes_BYX.float()
    dilated_BYX, shrunk_BYX = (functional.max_pool2d(one, 2 * size + 1, stride=1, padding=size) for one in (inside_BYX, 1 - inside_BYX))
    return (dilated_BYX > 0) & (shrunk_BYX > 0)
