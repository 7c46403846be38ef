"""Patch features from a convolutional network: maps of one or several of its stages, joined.

Images may have any size: they are resized so that each side is the next multiple of the patch size, and maps of stages to one cell for each
patch. Cells of a map are taken for squares that cover the image, as class maps are.

Paper: none; joined stages are common, as in Hariharan et al., "Hypercolumns for Object Segmentation and Fine-grained Localization", CVPR
2015.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from seedbed import features
from seedbed.methods import method
from seedbed.networks.backbones import check_source, initialise
from seedbed.networks.convolutional import FrozenTrunk, JoinedStages
from seedbed.networks.patch_vectors import Reduction, describe_patches, export_vectors
from seedbed.types import Alignment, Image, PatchFeatures


@method
class Cnn(features.Method):
    uses_gpu: ClassVar[bool] = True
    alignment: ClassVar[Alignment] = Alignment.RESIZED

    backbone: FrozenTrunk
    stages: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1)]  # counted from the end: 1 is the last
    unit: bool  # whether vectors of each stage are brought to length 1 before they are joined
    patch_size: Annotated[int, Field(ge=1, le=256)]  # edge of a patch, in pixels; usually output_stride
    centred: bool  # whether the mean of an image's patches is subtracted
    components: Reduction

    @property
    def num_channels(self) -> int:
        with torch.device("meta"):
            return self.components.count or self._build().width

    def check(self) -> None:
        with torch.device("meta"):
            check_source(self._build().backbone.trunk, self.backbone.initial_weights)

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # without weights they are random, but the same in every process
            network = self._build()
        network.components = self.components.load(network.width)
        initialise(network.backbone.trunk, self.backbone.initial_weights)
        return network

    def _build(self) -> JoinedStages:
        return JoinedStages(self.backbone.build(), stages=self.stages, unit=self.unit, patch_size=self.patch_size)

    def exportable(self, network: JoinedStages, *, scale: float) -> nn.Module | None:
        return export_vectors(network, patch_size=self.patch_size, scale=scale, centred=self.centred, components=self.components)

    def describe(self, images: Sequence[Image], network: JoinedStages, *, device: str) -> list[PatchFeatures]:
        return describe_patches(
            images, network, patch_size=self.patch_size, centred=self.centred, components=self.components, device=device
        )
