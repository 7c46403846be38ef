"""Patch features from a vision transformer of timm: keys of a block's attention, or tokens.

With the keys of DINO these are the features of the dissertation. Images may have any size: they are resized so that each side is the
next multiple of the patch size, and the network's positions are interpolated. Keys are those of all heads together, before the attention
normalises or rotates them; tokens other than patches (class, registers) are dropped. In networks of DINOv2's family all keys are alike,
so that every image becomes one superpixel; `centred` prevents this by subtracting the mean of the image's patches.

Paper: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021; as used in the Seoul National University
dissertation of 2022, chapter 3 (keys of the last block of ViT-B/8).

Differs from the paper: any transformer of timm will do; tokens, other blocks, centring and principal components are our additions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from seedbed import features
from seedbed.methods import method
from seedbed.networks.backbones import check_source
from seedbed.networks.patch_vectors import Reduction, describe_patches, export_vectors
from seedbed.networks.transformer import Transformer, find_width
from seedbed.networks.weights import InitialWeights
from seedbed.types import Alignment, Image, PatchFeatures


@method
class Vit(features.Method):
    uses_gpu: ClassVar[bool] = True
    alignment: ClassVar[Alignment] = Alignment.RESIZED

    architecture: str  # a transformer of timm, such as vit_base_patch8_224.dino
    patch_size: Annotated[int, Field(ge=1, le=256)]  # edge of a patch, in pixels, which the weights must fit
    initial_weights: InitialWeights
    what: Literal["keys", "tokens"]  # which vectors; tokens of the last block are normalised, as the network does before its head
    block: Annotated[int, Field(ge=1, le=1000)]  # which block, counted from the end: 1 is the last
    centred: bool  # whether the mean of an image's patches is subtracted
    components: Reduction

    @property
    def num_channels(self) -> int:
        return self.components.count or find_width(self.architecture)

    @property
    def pretrained(self) -> bool:
        return self.initial_weights.source == "pretraining"

    def check(self) -> None:
        with torch.device("meta"):
            check_source(self._build().trunk, self.initial_weights, "features.vit")

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # without weights they are random, but the same in every process
            network = self._build()
        network.components = self.components.load(find_width(self.architecture))
        return network if self.pretrained else network.initialise(self.initial_weights)

    def _build(self) -> Transformer:
        return Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)

    def exportable(self, network: Transformer, *, scale: float) -> nn.Module | None:
        return export_vectors(network, patch_size=self.patch_size, scale=scale, centred=self.centred, components=self.components)

    def describe(self, images: Sequence[Image], network: Transformer, *, device: str) -> list[PatchFeatures]:
        return describe_patches(
            images, network, patch_size=self.patch_size, centred=self.centred, components=self.components, device=device
        )
