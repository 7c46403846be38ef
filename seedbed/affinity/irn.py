"""Boundaries between classes, and for each cell the way to the middle of its thing: IRNet.

Two cells belong together as far as no boundary lies on the straight way between them. Nobody says where boundaries are: they are where they
have to be for the labels of pairs.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019.

Differs from the paper: any backbone gives the maps of its stages; maps are brought to the grid of cells by their size, not by whole
factors; the number of groups of a group norm follows from its channels by a rule that gives the paper's code's for its numbers. The mean
displacement that is subtracted in the end is a running mean of the training. Every training constant is a parameter, and weight decay is
weight decay: in that code it is passed in the place of momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from seedbed.affinity._network_method import NetworkMethod
from seedbed.algorithms.cell_pairs import find_margin, list_offsets, measure_barriers, shift_window
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Descent, Scheduled, learned_parameters
from seedbed.learning.pair_labels import EPSILON, PairLabels, average_over
from seedbed.learning.training import Training
from seedbed.methods import method
from seedbed.networks.backbones import Backbone, Trunk
from seedbed.networks.contracts import BoundaryNetwork, Inherited
from seedbed.types import Size, cells

Channels = Annotated[int, Field(ge=8, le=100_000, multiple_of=8)]
MEMORY = 0.9  # share of the mean displacement that a step keeps, as in the paper's code
DEEP = 3  # stages whose displacement is joined before the others'


@method
class Irn(NetworkMethod):
    backbone: Trunk
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell
    boundary_channels: Channels  # that the map of each stage is reduced to for boundaries
    displacement_channels: Annotated[tuple[Channels, ...], Field(min_length=DEEP)]  # and for displacement: one number for each last stage
    joined_channels: Channels  # that the maps for displacement are reduced to where they are joined
    displacement_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of displacement, relative to that of boundaries
    radius: Annotated[int, Field(ge=2, le=64)]  # cells nearer to each other than this are compared
    augmentation: Augmentation
    training: Training
    descent: Descent

    def network(self) -> RelationNetwork:
        return RelationNetwork(self.backbone.build(), self)

    def learner(self, num_classes: int, *, given: Inherited) -> Learner[BoundaryNetwork, Batch]:
        return RelationLearner(RelationNetwork(self.backbone.initialise(start=given.states.get("start", {})), self), self)


class RelationNetwork(BoundaryNetwork):
    """A branch for boundaries and one for displacement, on the maps of a backbone's stages."""

    mean_displacement: Tensor

    def __init__(self, backbone: Backbone, method: Irn) -> None:
        super().__init__()
        self.backbone, self.stride, self.count = backbone, method.stride, len(method.displacement_channels)
        widths = backbone.widths(self.count, asked_by="displacement_channels")
        self.boundaries = BoundaryBranch(widths, method.boundary_channels)
        self.displacement = DisplacementBranch(widths, method.displacement_channels, method.joined_channels)
        self.register_buffer("mean_displacement", torch.zeros(2))

    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        grid = cells((images_BCYX.shape[-2], images_BCYX.shape[-1]), self.stride)
        maps = self.backbone.maps(images_BCYX, count=self.count)
        boundaries_Byx, displacement_B2yx = self.boundaries(maps, grid), self.displacement(maps, grid)
        if not self.training:
            return boundaries_Byx, displacement_B2yx - self.mean_displacement[:, None, None]
        present = displacement_B2yx.detach().float().mean(dim=(0, 2, 3))
        self.mean_displacement.mul_(MEMORY).add_(present, alpha=1 - MEMORY)
        return boundaries_Byx, displacement_B2yx


class BoundaryBranch(nn.Module):
    """Every stage has its say on the grid of cells."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_reduce(width, channels) for width in widths)
        self.join = nn.Conv2d(len(widths) * channels, 1, kernel_size=1)

    def forward(self, maps: Sequence[Tensor], grid: Size) -> Tensor:
        sides = [_enlarge(layer(one), grid) for layer, one in zip(self.stages, maps, strict=True)]
        logits_Byx: Tensor = self.join(torch.cat(sides, dim=1))[:, 0]
        return logits_Byx


class DisplacementBranch(nn.Module):
    """The deep stages are joined first, on the grid of the first of them."""

    def __init__(self, widths: Sequence[int], channels: Sequence[int], joined: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_reduce(width, own) for width, own in zip(widths, channels, strict=True))
        self.join_deep = _reduce(sum(channels[-DEEP:]), joined)
        self.join = nn.Sequential(
            _reduce(sum(channels[:-DEEP]) + joined, joined), nn.ReLU(), nn.Conv2d(joined, 2, kernel_size=1, bias=False)
        )

    def forward(self, maps: Sequence[Tensor], grid: Size) -> Tensor:
        reduced = [layer(one) for layer, one in zip(self.stages, maps, strict=True)]
        shallow, deep = reduced[:-DEEP], reduced[-DEEP:]
        middle = (deep[0].shape[-2], deep[0].shape[-1])
        joined = self.join_deep(torch.cat([_enlarge(one, middle) for one in deep], dim=1))
        displacement_B2yx: Tensor = self.join(torch.cat([_enlarge(one, grid) for one in (*shallow, joined)], dim=1))
        return displacement_B2yx


def _reduce(width: int, channels: int) -> nn.Sequential:
    """A 1x1 convolution and a group norm: as many groups of 8 or more channels as there can be, at most 16."""
    groups = max(count for count in range(1, 17) if channels % count == 0 and channels // count >= 8)
    return nn.Sequential(nn.Conv2d(width, channels, kernel_size=1, bias=False), nn.GroupNorm(groups, channels))


def _enlarge(maps: Tensor, size: Size) -> Tensor:
    """The positive part of maps at another size."""
    return functional.relu(functional.interpolate(maps, size=size, mode="bilinear", align_corners=False))


class RelationLearner(Learner[BoundaryNetwork, Batch]):
    """Between cells of one class no boundary, between others one; cells of one class agree on the middle, background has none."""

    network: RelationNetwork

    def __init__(self, network: RelationNetwork, method: Irn) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        boundaries_Byx, displacement_B2yx = (one.float() for one in self.network(batch.images_BCYX))
        radius, margin = self.method.radius, find_margin(self.method.radius)
        pairs = PairLabels.of(batch.maps_BYX["labels"], (boundaries_Byx.shape[-2], boundaries_Byx.shape[-1]), radius)
        barriers = measure_barriers(boundaries_Byx.sigmoid(), radius, torch.maximum)
        affinities_BPhw = 1 - torch.stack(barriers, dim=1)
        alike, unlike = -torch.log(affinities_BPhw + EPSILON), -torch.log(1 + EPSILON - affinities_BPhw)
        foreground, background = self._compare_displacement(displacement_B2yx, radius, margin)
        return {
            "same": (average_over(alike, pairs.background) + average_over(alike, pairs.foreground)) / 4,
            "different": average_over(unlike, pairs.different) / 2,
            "displacement_foreground": average_over(foreground, pairs.foreground) / 2,
            "displacement_background": average_over(background, pairs.background) / 2,
        }

    @staticmethod
    def _compare_displacement(displacement_B2yx: Tensor, radius: int, margin: int) -> tuple[Tensor, Tensor]:
        """How far the displacements of each pair (B, P, h, w) are from those of one middle, and from none; means over rows and columns."""
        one_B2hw = shift_window(displacement_B2yx, (0, 0), margin)
        foreground, background = [], []
        for offset in list_offsets(radius):
            difference_B2hw = one_B2hw - shift_window(displacement_B2yx, offset, margin)
            way = torch.tensor(offset, device=difference_B2hw.device, dtype=difference_B2hw.dtype)[:, None, None]
            foreground.append((difference_B2hw - way).abs().mean(dim=1))
            background.append(difference_B2hw.abs().mean(dim=1))
        return torch.stack(foreground, dim=1), torch.stack(background, dim=1)

    def optimizers(self) -> list[Scheduled]:
        descent = self.method.descent
        scheduled = descent.schedule(self.network.backbone, self.network.boundaries)
        rate = descent.learning_rate * descent.new_layer_factor * self.method.displacement_factor
        scheduled.optimizer.add_param_group({"params": learned_parameters(self.network.displacement), "lr": rate})
        return [scheduled]
