"""A classifier that learns what the grounds are like on which things stand, so that it does not take them for the things.

Its class maps say where each image shows classes and where background. Of the places of a class of which it is not sure, each is drawn
towards the class's prototype, and away from backgrounds that it has met before and from other classes of the batch
(`learning/contrast.py`). Beside that, features of classes and of backgrounds shall differ, and where background is shall be told from the
latter. Class scores are means over what of each channel is not far below its highest value. If there is saliency, maps of classes and of
background together have to explain it, and class maps are their shares in a softmax. Backbone and heads of maps are kept.

Paper: Yin et al., "Fine-grained Background Representation for Weakly Supervised Semantic Segmentation", 2024 (arXiv 2406.15755). Pooling:
Bae et al., "Rethinking Class Activation Mapping for Weakly Supervised Object Localization", ECCV 2020. Saliency: Lee et al., "Railroad Is
Not a Train: Saliency as Pseudo-pixel Supervision for Weakly Supervised Semantic Segmentation", CVPR 2021.

Differs from the paper: its published code compares places with backgrounds along the wrong axis of an array, and cuts the gradient of what
asks: in one of its two settings in this contrast, in the other in both. There these teach nothing, so its figures need not be ours; here
both do what the paper says. Prototypes are of classes that images contain. A bank is shared by all processes. k-means has few rounds, and
runs where the network does. Where saliency is unknown it explains nothing. What that setting has of the systems below it (SEAM's refined
maps and regularisation between views, PPC's contrast across views) is not here. There, the second view is the first one shrunk (`shrunk`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from seedbed import classifier
from seedbed.algorithms.pooling import Bound
from seedbed.learning.augmentation import Augmentation, Sample, Scale, Share
from seedbed.learning.bank import Bank
from seedbed.learning.batches import Batch
from seedbed.learning.contrast import Contrast, Projections, Seen, Weight, compare_places, estimate_compared
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Sampling, Training
from seedbed.methods import method, parameters
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import ClassifierNetwork, Inherited
from seedbed.types import IGNORE, OBJECT

SMALLEST = 1e-5  # added to the highest value of a map
UNSAID = 1e-4  # added to every place of a map that is compared with saliency
FIRST_OFFSET = 1e-4  # initial bias of the norm of backgrounds
FIRST_DEVIATION = 0.01  # of the initial weights of background's map, as of those of classes


@parameters
class SecondView:
    """A second view of each image, whose losses are averaged with the first one's."""

    kind: Literal["none", "shrunk", "cropped"]  # shrunk: of the first view, as the paper's code; cropped: of another part of the image
    edge: Annotated[int, Field(ge=16, le=20_000)]  # paper: 128; of the square, in pixels
    smallest_scale: Scale  # cropped: images are resized by a factor between these two
    largest_scale: Scale  # see smallest_scale

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if self.smallest_scale > self.largest_scale:
            raise ValueError(f"smallest_scale no larger than largest_scale, which is {self.largest_scale}")
        return self


@parameters
class Segmentation:
    """How it is told from features of backgrounds where background is."""

    weight: Weight  # paper: 0.1; 0: it is not
    below: Share  # paper: 0.05; sum of the classes' scores below which class maps show background
    dropout: Annotated[float, Field(ge=0, lt=1)]  # paper: 0.5; share of the values that are left out at random


@parameters
class Explanation:
    """How class maps explain saliency."""

    weight: Weight  # paper: 1; 0: they do not, and no saliency is read
    overlap: Share  # paper: tau, 0.4; share of a class's places that are salient, above which it counts as object, else as background
    balance: Share  # paper: alpha, 0.5; share of objects, not of background, in what explains saliency


@method
class Fbr(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ("objects",)

    backbone: Trunk
    pooled_above: Bound  # paper: theta, 0.1; share of a channel's highest value above which values are averaged to scores; none: all are
    shown_above: Share  # paper: 0.1; score of background, which classes must exceed to be seen
    cells: Annotated[int, Field(ge=0, le=10_000)]  # paper: 16, 0; edge of the grid on which places are compared; 0: that of the class maps
    contrast: Contrast
    segmentation: Segmentation
    saliency: Explanation
    second_view: SecondView
    augmentation: Augmentation
    training: Training
    descent: Descent

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        return self.maps if self.saliency.weight else ()

    @property
    def sampling(self) -> Sampling[Sample, Sequence[Sample], Views]:
        """One view of each image, or two."""
        return Sampling(self.training, self.view, Views.of)

    @property
    def edges(self) -> list[int]:
        """Edges of the views of an image."""
        return [self.augmentation.crop] + [self.second_view.edge] * (self.second_view.kind != "none")

    def view(self, sample: Sample, random: np.random.Generator) -> Sequence[Sample]:
        """The random views of an image."""
        second, first = self.second_view, self.augmentation.view(sample, random)
        if second.kind != "cropped":
            return [first]
        least, most = second.smallest_scale, second.largest_scale
        other = dataclasses.replace(self.augmentation, crop=second.edge, smallest_scale=least, largest_scale=most)
        return [first, other.view(sample, random)]

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        cells = [self.cells or -(-edge // self.backbone.output_stride) for edge in self.edges]
        places = sum(edge**2 for edge in cells) * self.training.batch_size // self.training.micro_batches
        return estimate_memory(network, self.training, self.edges) + estimate_compared(self.contrast, places, banks=len(cells))

    def network(self, num_classes: int) -> FbrNetwork:
        return self._build(self.backbone.build(), num_classes)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Views]:
        return FbrLearner(self._build(self.backbone.initialise(start={}), num_classes), self)

    def _build(self, backbone: Backbone, num_classes: int) -> FbrNetwork:
        return FbrNetwork(backbone, num_classes, pooled_above=self.pooled_above, explains=bool(self.saliency.weight))


@dataclass  # not frozen, because Fabric sets the fields of a copy where precision is mixed
class Views:
    """The first views of some images, then their second ones, if there are any."""

    batches: Sequence[Batch]

    @classmethod
    def of(cls, views: Sequence[Sequence[Sample]]) -> Views:
        """A batch of the views of each image."""
        return cls([Batch.of(each) for each in zip(*views, strict=True)])

    def to(self, device: torch.device) -> Views:
        """The same batch on a device."""
        return Views([batch.to(device) for batch in self.batches])


class FbrNetwork(CamNetwork):
    """The plain classifier's network, and a score map of background if maps explain saliency."""

    def __init__(self, backbone: Backbone, num_classes: int, *, pooled_above: Bound, explains: bool) -> None:
        super().__init__(backbone, num_classes, pooled_above=pooled_above)
        self.background = nn.Conv2d(backbone.num_features, 1, kernel_size=1, bias=False) if explains else None
        if self.background is not None:
            nn.init.normal_(self.background.weight, std=FIRST_DEVIATION)

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        features_BDyx = self.backbone(images_BCYX)
        maps_BKyx, logits_BK = self.score(features_BDyx)
        if self.background is None:
            return maps_BKyx, logits_BK
        return self.oppose(features_BDyx, maps_BKyx)[:, 1:], logits_BK

    def oppose(self, features_BDyx: Tensor, maps_BKyx: Tensor) -> Tensor:
        """Probabilities (B, 1 + K, y, x) of background and of classes, each against all others."""
        assert self.background is not None
        return torch.cat([self.background(features_BDyx), maps_BKyx], dim=1).float().softmax(dim=1)


class BackgroundHead(nn.Module):
    """Tells from features of backgrounds where background is."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm.bias, FIRST_OFFSET)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Conv2d(width, 1, kernel_size=1, bias=False)
        nn.init.xavier_uniform_(self.classify.weight)

    def forward(self, features_BDyx: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features, and logits (B, y, x)."""
        normalised_BDyx = self.norm(features_BDyx).relu()
        return normalised_BDyx, self.classify(self.dropout(normalised_BDyx))[:, 0]


class FbrLearner(Learner[ClassifierNetwork, Views]):
    """Binary cross-entropy of every class; how places differ from backgrounds and other classes; and how maps explain saliency."""

    network: FbrNetwork

    def __init__(self, network: FbrNetwork, method: Fbr) -> None:
        super().__init__()
        self.network = network
        self.method = method
        contrast, channels = method.contrast, network.backbone.num_features
        self.projections = Projections(channels, contrast.width) if method.segmentation.weight or not contrast.off else None
        self.told = BackgroundHead(contrast.width, method.segmentation.dropout) if method.segmentation.weight else None
        count = len(method.edges) if contrast.background else 0
        self.banks = nn.ModuleList(Bank(contrast.capacity, contrast.width) for _ in range(count))  # one for each view, as in the code

    def forward(self, batch: Views, progress: float) -> dict[str, Tensor]:
        views = list(batch.batches)
        if self.method.second_view.kind == "shrunk":
            views.append(shrink(views[0], self.method.second_view.edge))
        banks: Sequence[Any] = [*self.banks] or [None] * len(views)
        found = [self._measure(view, bank) for view, bank in zip(views, banks, strict=True)]
        return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}

    def _measure(self, view: Batch, bank: Bank | None) -> dict[str, Tensor]:
        """Terms of the loss of one view."""
        method, labels_BK = self.method, view.labels_BK[:, 1:]
        features_BDyx = self.network.backbone(view.images_BCYX)
        maps_BKyx, logits_BK = self.network.score(features_BDyx)
        terms = {"classes": functional.binary_cross_entropy_with_logits(logits_BK, labels_BK)}
        if method.saliency.weight:
            probable_BKyx, objects_BYX = self.network.oppose(features_BDyx, maps_BKyx), view.maps_BYX["objects"]
            terms["saliency"] = method.saliency.weight * measure_unexplained(probable_BKyx, labels_BK, objects_BYX, method.saliency)
        if self.projections is not None:
            foreground_BDyx = self.projections.foreground(features_BDyx).float().relu()
            raw_BDyx = self.projections.background(features_BDyx).float()
            shown_BKyx, background_BDyx = maps_BKyx.detach().float(), raw_BDyx.relu()
            compared_BDyx = background_BDyx
            if self.told is not None:
                compared_BDyx, said_Byx = self.told(raw_BDyx)
                target_Byx = show_background(shown_BKyx, labels_BK, method.segmentation.below)
                terms["segmentation"] = method.segmentation.weight * functional.binary_cross_entropy_with_logits(said_Byx, target_Byx)
            if method.contrast.apart:
                terms["apart"] = method.contrast.apart * functional.cosine_similarity(foreground_BDyx, compared_BDyx, dim=1).mean()
            if method.contrast.background or method.contrast.foreground:
                seen = look(self._bring(shown_BKyx), labels_BK, method.shown_above)
                terms |= compare_places(self._bring(foreground_BDyx), self._bring(background_BDyx), seen, method.contrast, bank)
        return terms

    def _bring(self, maps_BKyx: Tensor) -> Tensor:
        """Maps on the grid on which places are compared."""
        cells = self.method.cells
        return functional.interpolate(maps_BKyx, size=(cells, cells), mode="bilinear", align_corners=True) if cells else maps_BKyx

    def optimizers(self) -> list[Scheduled]:
        new = [self.network.head, self.network.background, self.projections, self.told]
        return [self.method.descent.schedule(self.network.backbone, *(one for one in new if one is not None))]


def shrink(view: Batch, edge: int) -> Batch:
    """The same views at another size, as squares."""
    images_BCYX = functional.interpolate(view.images_BCYX, size=(edge, edge), mode="bilinear", align_corners=True)
    maps = {
        name: functional.interpolate(pixels_BYX[:, None].float(), size=(edge, edge), mode="nearest")[:, 0].long()
        for name, pixels_BYX in view.maps_BYX.items()
    }
    return Batch(images_BCYX, view.labels_BK, maps)


def look(maps_BKyx: Tensor, labels_BK: Tensor, background: float) -> Seen:
    """Where score maps show classes that images contain, and where background.

    background: its score, where a class's lowest is 0 and its highest 1.
    """
    positive_BKyx = maps_BKyx.relu()
    lowest_BK11, highest_BK11 = positive_BKyx.amin(dim=(2, 3), keepdim=True), positive_BKyx.amax(dim=(2, 3), keepdim=True)
    classes_BKyx = (positive_BKyx - lowest_BK11 - SMALLEST).clamp(min=0) / (highest_BK11 - lowest_BK11 + SMALLEST)
    present_BKyx = classes_BKyx * labels_BK[:, :, None, None]
    scores_BKyx = torch.cat([torch.full_like(present_BKyx[:, :1], background), present_BKyx], dim=1)
    return Seen(scores_BKyx, scores_BKyx.softmax(dim=1), scores_BKyx.argmax(dim=1))


def show_background(maps_BKyx: Tensor, labels_BK: Tensor, below: float) -> Tensor:
    """1 where the classes that images contain have low scores, together and relative to the highest of each, else 0 (B, y, x)."""
    positive_BKyx = maps_BKyx.relu() * labels_BK[:, :, None, None]
    total_Byx = (positive_BKyx / (positive_BKyx.amax(dim=(2, 3), keepdim=True) + SMALLEST)).sum(dim=1)
    return (total_Byx < below).float()


def measure_unexplained(probable_BKyx: Tensor, labels_BK: Tensor, objects_BYX: Tensor, explanation: Explanation) -> Tensor:
    """Mean squared difference of saliency from what maps say of it.

    probable_BKyx: of background, then of classes; objects_BYX: where something is, and IGNORE where that is not known.
    """
    objects_Byx = functional.interpolate(objects_BYX[:, None].float(), size=probable_BKyx.shape[-2:], mode="nearest")[:, 0]
    salient_B1yx, known_Byx = (objects_Byx == OBJECT).float()[:, None], objects_Byx != IGNORE
    if not known_Byx.any():
        return probable_BKyx.new_zeros(())
    background_Byx, classes_BKyx = probable_BKyx[:, 0], probable_BKyx[:, 1:]
    said_BKyx = classes_BKyx.detach().round()
    overlap_BK = (said_BKyx * salient_B1yx).sum(dim=(2, 3)) / (said_BKyx + UNSAID).sum(dim=(2, 3))
    as_object_BK = labels_BK * (overlap_BK > explanation.overlap)
    as_background_BK = labels_BK - as_object_BK
    of_objects_Byx = torch.einsum("bkyx,bk->byx", classes_BKyx, as_object_BK)
    of_background_Byx = background_Byx + torch.einsum("bkyx,bk->byx", classes_BKyx, as_background_BK)
    explained_Byx = explanation.balance * of_objects_Byx + (1 - explanation.balance) * (1 - of_background_Byx)
    return functional.mse_loss(explained_Byx[known_Byx], salient_B1yx[:, 0][known_Byx])
