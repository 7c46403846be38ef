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
from typing import Annotated, ClassVar, Literal, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import nn

from seedbed import features
from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError
from seedbed.methods import LOCATION, method, parameters
from seedbed.networks.backbones import check_source
from seedbed.networks.inference import group_by_size
from seedbed.networks.pinned_files import check_unused
from seedbed.networks.transformer import Transformer, find_width
from seedbed.networks.weights import InitialWeights, load_components
from seedbed.types import Alignment, Image, PatchFeatures, cells


@parameters
class Reduction:
    """Principal components that vectors are reduced to, which saves space and time."""

    count: Annotated[int, Field(ge=0, le=10_000)]  # number of components; 0 keeps the vectors as they are
    fit: Literal["image", "file"]  # image: fitted to each image's own patches; file: fitted once, by `seedbed components`
    file: Annotated[str, LOCATION]  # that `seedbed components` wrote; empty unless fit is file
    sha256: str  # of the file, so that the same parameters always mean the same components; empty unless fit is file

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        if self.fit != "file":
            check_unused(file=self.file, sha256=self.sha256, setting="fit")
        return self

    def check_file(self) -> None:
        """Refuse a file that is missing, has another digest, or holds no components."""
        if self.count and self.fit == "file":
            load_components(self.file, self.sha256)


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
            network = Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)
        check_source(network.trunk, self.initial_weights, "features")

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # without weights they are random, but the same in every process
            network = Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)
        if self.components.count and self.components.fit == "file":
            network.components = self._load_components()
        return network if self.pretrained else network.initialise(self.initial_weights)

    def _load_components(self) -> PrincipalComponents:
        components = load_components(self.components.file, self.components.sha256)
        width = find_width(self.architecture)
        if components.directions.shape != (self.components.count, width):
            raise ParamsError(
                "params.yaml: components.count",
                found=f"{self.components.count} of {width} channels, but the file has {components.directions.shape}",
                expected="the count that the file was fitted with",
                do="correct it, or run `seedbed components` again",
            )
        return components

    def describe(self, images: Sequence[Image], network: Transformer, *, device: str) -> list[PatchFeatures]:
        described: dict[int, npt.NDArray[np.float32]] = {}
        views = [self._resize(image) for image in images]
        for places in group_by_size(views, device=device):
            batch = torch.from_numpy(np.stack([views[place] for place in places])).to(device).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                values = network(batch).float().cpu().numpy()
            described |= dict(zip(places, values, strict=True))
        finished = [self._finish(described[place], network) for place in range(len(images))]
        return [PatchFeatures(values=values, patch_size=self.patch_size, alignment=self.alignment) for values in finished]

    def _resize(self, image: Image) -> Image:
        rows, columns = cells((image.shape[0], image.shape[1]), self.patch_size)
        size = columns * self.patch_size, rows * self.patch_size
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)  # of its own size, it stays as it is

    def _finish(self, values: npt.NDArray[np.float32], network: Transformer) -> npt.NDArray[np.float32]:
        """Values (patch_y, patch_x, channel), centred and reduced as the parameters say."""
        if self.centred:
            values = values - values.mean(axis=(0, 1))
        if not self.components.count:
            return np.asarray(values, np.float32)
        flat = values.reshape(-1, values.shape[-1])
        fitted = network.components or PrincipalComponents.fit([flat], self.components.count)
        return fitted.project(flat).reshape(*values.shape[:2], self.components.count)
