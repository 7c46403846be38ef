"""Features of cells that are alike where two cells are of one class: AffinityNet.

Paper: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly Supervised Semantic Segmentation",
CVPR 2018 (PSA).

Differs from the paper: any backbone gives the maps (the paper's is resnet38), which are brought to one grid if they differ in size; its
weights and every training constant are parameters. The label of a cell is its middle pixel's; the paper's code takes the likeliest by
mean probabilities. Weight decay is weight decay: in that code it is passed in the place of momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed.affinity._network_method import NetworkMethod
from seedbed.algorithms.cell_pairs import find_margin, list_offsets, shift_window
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.pair_labels import EPSILON, PairLabels, average_over
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.contracts import Inherited, PairNetwork
from seedbed.types import cells

Channels = Annotated[int, Field(ge=1, le=100_000)]


@method
class Psa(NetworkMethod):
    backbone: Trunk
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell
    channels: Annotated[tuple[Channels, ...], Field(min_length=1)]  # that each map of the last stages is reduced to
    radius: Annotated[int, Field(ge=2, le=64)]  # cells nearer to each other than this are compared
    augmentation: Augmentation
    training: Training
    descent: Descent

    @property
    def num_pairs(self) -> int:
        return len(list_offsets(self.radius))

    def network(self) -> AffinityNetwork:
        return AffinityNetwork(self.backbone.build(), self.channels, self.stride, self.radius)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[PairNetwork, Batch]:
        backbone = self.backbone.initialise(start=given.states.get("start", {}))
        return PairLearner(AffinityNetwork(backbone, self.channels, self.stride, self.radius), self.descent)


class AffinityNetwork(PairNetwork):
    """Maps of the last stages of a backbone, each reduced, joined and mixed."""

    def __init__(self, backbone: Backbone, channels: Sequence[int], stride: int, radius: int) -> None:
        super().__init__()
        self.backbone, self.stride, self.radius = backbone, stride, radius
        widths = backbone.widths(len(channels), asked_by="channels")
        self.reduce = nn.ModuleList(
            nn.Conv2d(width, count, kernel_size=1, bias=False) for width, count in zip(widths, channels, strict=True)
        )
        self.mix = nn.Conv2d(sum(channels), sum(channels), kernel_size=1, bias=False)
        for layer in self.reduce:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight)
        nn.init.xavier_uniform_(self.mix.weight, gain=4)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        grid = cells((images_BCYX.shape[-2], images_BCYX.shape[-1]), self.stride)
        maps = self.backbone.maps(images_BCYX, count=len(self.reduce))
        reduced = [functional.elu(layer(one)) for layer, one in zip(self.reduce, maps, strict=True)]
        joined = torch.cat([functional.interpolate(one, size=grid, mode="bilinear", align_corners=False) for one in reduced], dim=1)
        return functional.elu(self.mix(joined))


class PairLearner(Learner[PairNetwork, Batch]):
    """Features of one class are to be alike, others not; background, classes and differences are balanced."""

    network: AffinityNetwork

    def __init__(self, network: AffinityNetwork, descent: Descent) -> None:
        super().__init__()
        self.network = network
        self._descent = descent

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        features_BDyx = self.network(batch.images_BCYX).float()
        radius, margin = self.network.radius, find_margin(self.network.radius)
        pairs = PairLabels.of(batch.maps_BYX["labels"], (features_BDyx.shape[-2], features_BDyx.shape[-1]), radius)
        one_BDhw = shift_window(features_BDyx, (0, 0), margin)
        distances = [(one_BDhw - shift_window(features_BDyx, offset, margin)).abs().mean(dim=1) for offset in list_offsets(radius)]
        affinities_BPhw = torch.exp(-torch.stack(distances, dim=1))
        alike, unlike = -torch.log(affinities_BPhw + EPSILON), -torch.log(1 + EPSILON - affinities_BPhw)
        return {
            "background": average_over(alike, pairs.background) / 4,
            "foreground": average_over(alike, pairs.foreground) / 4,
            "different": average_over(unlike, pairs.different) / 2,
        }

    def optimizers(self) -> list[Scheduled]:
        return [self._descent.schedule(self.network.backbone, self.network.reduce, self.network.mix)]
