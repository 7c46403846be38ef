"""A classifier whose class maps spread over whole objects, and are kept within them by the structure of the image.

What tells most is suppressed, so that maps spread. They stop at objects for two reasons. A decoder has to paint the image from the maps
alone, and what it paints is compared with the image by what another network perceives of both: so maps must hold the image's structure.
And within superpixels maps shall be even: they are drawn towards their means over superpixels, except deep inside of what is active, where
they are drawn no lower than they are. Only backbone and head are kept.

Paper: Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024 (arXiv 2401.11122).

Differs from the paper: backbone, its weights and every training constant are parameters. No source says which superpixels it has: any of
ours serve (`classifier.maps.regions`). That no gradient reaches the first stages is said by `backbone.frozen_stages`. What is painted lies
between -1 and 1, while the image that it is compared with is standardised and reaches beyond, as in the published code; `target` can bring
it between the same bounds. Of a view whose edge is no multiple of the backbone's stride, what is painted beyond the border is cut off, and
a VGG's pools round up. In one published version of the code the square of the erosion has an edge of 8 pixels, in another of 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed import classifier
from seedbed.algorithms.group_means import average_groups
from seedbed.errors import ParamsError
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.learner import Frozen, Learner
from seedbed.learning.optimisers import AdaptiveDescent, Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.methods import method, parameters
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import ClassifierNetwork, Inherited
from seedbed.networks.decoder import Decoder
from seedbed.networks.perception import PerceivingNetwork, Perception
from seedbed.networks.suppression import suppress_behind, suppress_last_stage

SMALLEST = 1e-5  # added to the highest value of a map
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=100_000)]


@parameters
class Suppressed:
    """How features are kept from telling too much."""

    share: Share  # paper: delta, 0.55; of the highest value of a channel, which none exceeds behind blocks of the last stage; 1: any may
    also_behind: Annotated[int, Field(ge=0, le=4)]  # paper: 2; stage behind which it is so as well while it learns; 0: none


@parameters
class Reconstruction:
    """How an image is painted from class maps, and compared with the true one."""

    weight: Weight  # paper: beta_p, 1; 0: none is painted
    widths: Annotated[tuple[Width, ...], Field(min_length=1)]  # paper: 256, 256, 128, 64, 32; channels of the painter, doubling by doubling
    target: Literal["standardised", "between"]  # paper: as the network below wants images; between -1 and 1, as what is painted
    perception: Perception
    levels: tuple[Weight, ...]  # paper: 1/32, 1/16, 1/8, 1/4, 1; weights of what is perceived at each level, the finest first
    descent: AdaptiveDescent  # of the painter


@parameters
class Modulation:
    """How class maps are drawn towards their means over superpixels."""

    weight: Weight  # paper: beta_a, 1; 0: they are not, and no superpixels are read
    begins: Annotated[float, Field(ge=0, lt=1)]  # paper: 0.2; share of the training before it
    scale: Annotated[float, Field(gt=0, le=1)]  # paper: 0.5; of views, at which maps and superpixels are compared
    active: Share  # paper: 0.3; share of a map's highest value above which a place is active
    erosion: Annotated[int, Field(ge=1, le=1000)]  # paper: 8; edge of the square by which what is active is eroded, in pixels; 1: it is not


@method
class Ssc(classifier.NetworkMethod):
    maps: ClassVar[tuple[str, ...]] = ("regions",)

    backbone: Trunk
    suppression: Suppressed
    reconstruction: Reconstruction
    modulation: Modulation
    augmentation: Augmentation
    training: Training
    descent: Descent

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        return self.maps if self.modulation.weight else ()

    def check(self) -> None:
        super().check()
        with torch.device("meta"):
            self.network(1)
        if self.reconstruction.weight:
            self._check_painter()

    def _check_painter(self) -> None:
        painter, where = self.reconstruction, "params.yaml: classifier.ssc.reconstruction"
        if 2 ** (len(painter.widths) - 1) != self.backbone.output_stride:
            raise ParamsError(
                f"{where}.widths",
                found=f"{len(painter.widths)}, which make maps {2 ** (len(painter.widths) - 1)} times as large",
                expected=f"as many as make them {self.backbone.output_stride} times as large, which is backbone.output_stride",
                do="correct one of the two",
            )
        if self.augmentation.crop <= self.backbone.output_stride:
            raise ParamsError(
                "params.yaml: classifier.ssc.augmentation.crop",
                found=f"{self.augmentation.crop}, which is one cell of a class map",
                expected=f"more than {self.backbone.output_stride}, which is backbone.output_stride",
                do="correct one of the two",
            )
        painter.perception.check("classifier.ssc.reconstruction.levels", levels=len(painter.levels))

    def memory(self, extents: Mapping[str, int]) -> int:
        num_classes = extents["class"] - 1
        with torch.device("meta"):
            network = self.network(num_classes)
            seen: list[nn.Module] = [network.backbone, network.head]
            if self.reconstruction.weight:
                seen += [Decoder(num_classes, self.reconstruction.widths), self.reconstruction.perception.build()]
        return estimate_memory(nn.Sequential(*seen), self.training, [self.augmentation.crop])

    def network(self, num_classes: int) -> CamNetwork:
        return self._build(self.backbone.build(), num_classes)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[ClassifierNetwork, Batch]:
        return SscLearner(self._build(self.backbone.initialise(start={}), num_classes), num_classes, self)

    def _build(self, backbone: Backbone, num_classes: int) -> CamNetwork:
        suppress_last_stage(backbone.trunk, self.suppression.share, asked_by="classifier.ssc.backbone.network")
        return CamNetwork(backbone, num_classes)


class SscLearner(Learner[ClassifierNetwork, Batch]):
    """Binary cross-entropy of every class, how well the image can be painted, and how even class maps are within superpixels."""

    network: CamNetwork

    def __init__(self, network: CamNetwork, num_classes: int, method: Ssc) -> None:
        super().__init__()
        self.network = network
        self.method = method
        self.painter: Decoder | None = None
        self.perceived: Frozen[PerceivingNetwork] | None = None
        if method.reconstruction.weight:
            self.painter = Decoder(num_classes, method.reconstruction.widths)
            self.perceived = Frozen(method.reconstruction.perception.initialise())

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        method, labels_BK = self.method, batch.labels_BK[:, 1:]
        with suppress_behind(self.network.backbone.trunk, method.suppression.also_behind, method.suppression.share):
            maps_BKyx, logits_BK = self.network(batch.images_BCYX)
        terms = {"classes": functional.binary_cross_entropy_with_logits(logits_BK, labels_BK)}
        if method.reconstruction.weight:
            terms["reconstruction"] = method.reconstruction.weight * self._measure_painted(maps_BKyx, batch.images_BCYX)
        if method.modulation.weight:
            terms["modulation"] = maps_BKyx.new_zeros(())
            if progress >= method.modulation.begins:
                uneven = measure_uneven(maps_BKyx.float(), labels_BK > 0, batch.maps_BYX["regions"], method.modulation)
                terms["modulation"] = method.modulation.weight * uneven
        return terms

    def _measure_painted(self, maps_BKyx: Tensor, images_BCYX: Tensor) -> Tensor:
        """How far what is painted from class maps is from the images, as another network perceives both."""
        assert self.painter is not None and self.perceived is not None
        height, width = images_BCYX.shape[-2:]
        painted_BCYX = self.painter(maps_BKyx)[..., :height, :width]
        if self.method.reconstruction.target == "between":
            targets_BCYX = 2 * images_BCYX - 1
        else:
            targets_BCYX = self.perceived.network.standardise(images_BCYX)
        with torch.no_grad():
            expected = self.perceived(targets_BCYX)
        found = self.perceived(painted_BCYX)
        losses = [
            weight * functional.l1_loss(one.float(), other.float())
            for weight, one, other in zip(self.method.reconstruction.levels, found, expected, strict=True)
        ]
        return torch.stack(losses).sum()

    def optimizers(self) -> list[Scheduled]:
        of_network = self.method.descent.schedule(self.network.backbone, self.network.head)
        return [of_network] if self.painter is None else [of_network, self.method.reconstruction.descent.schedule(self.painter)]


def measure_uneven(maps_BKyx: Tensor, present_BK: Tensor, regions_BYX: Tensor, modulation: Modulation) -> Tensor:
    """Mean squared difference of the maps of classes that images contain from what they are drawn towards, which has no gradient.

    maps_BKyx: scores; regions_BYX: superpixels, -1 beyond the border, which counts as one more.
    """
    if not present_BK.any():
        return maps_BKyx.new_zeros(())
    regions_BYX = functional.interpolate(regions_BYX[:, None].float(), scale_factor=modulation.scale, mode="nearest")[:, 0].long()
    scores_BKYX = functional.interpolate(maps_BKyx, size=regions_BYX.shape[-2:], mode="bilinear", align_corners=False)
    scores_PYX, regions_PYX = scores_BKYX[present_BK], regions_BYX[present_BK.nonzero()[:, 0]]
    active_PYX = normalise(scores_PYX)
    with torch.no_grad():
        even_PYX = normalise(average_regions(scores_PYX, regions_PYX))
        reliable_PYX = erode(active_PYX > modulation.active, modulation.erosion)
        targets_PYX = torch.maximum(even_PYX, active_PYX * reliable_PYX)
    return functional.mse_loss(active_PYX, targets_PYX)


def normalise(scores_PYX: Tensor) -> Tensor:
    """What is positive, as a share of the highest value of its map."""
    positive_PYX = scores_PYX.relu()
    return positive_PYX / (positive_PYX.amax(dim=(1, 2), keepdim=True) + SMALLEST)


def average_regions(scores_PYX: Tensor, regions_PYX: Tensor) -> Tensor:
    """Each pixel's mean over its superpixel.

    regions_PYX: -1 or more.
    """
    count = int(regions_PYX.max()) + 2
    groups = regions_PYX + 1 + count * torch.arange(len(regions_PYX), device=regions_PYX.device)[:, None, None]
    means = average_groups(scores_PYX.reshape(-1, 1), groups.flatten(), count * len(regions_PYX))
    return means[groups, 0]


def erode(marked_PYX: Tensor, edge: int) -> Tensor:
    """Places all around which is marked, within a square; what lies beyond the border counts as marked.

    edge: of the square, whose middle is at edge // 2, as OpenCV has it.
    """
    before, after = edge // 2, edge - 1 - edge // 2
    unmarked_P1YX = functional.pad((~marked_PYX).float()[:, None], (before, after, before, after))
    return functional.max_pool2d(unmarked_P1YX, edge, stride=1)[:, 0] == 0
