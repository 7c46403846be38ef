"""Patches as a vision transformer of timm sees them: keys of a block's attention, or tokens.

With the keys of DINO these are the features of the dissertation. Any image size will do: the image is resized so that each side is the
next multiple of the patch size, and the network's positions are interpolated. Keys are those of all heads together, before the attention
normalises or rotates them; tokens that are no patches (class, registers) are dropped. Networks of DINOv2's family have keys that all
resemble each other, so that every image becomes one superpixel; `centred` subtracts the mean of the image's patches, which cures it.

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
from seedbed.algorithms.components import Components
from seedbed.errors import ParamsError
from seedbed.methods import LOCATION, method, parameters
from seedbed.networks.backbones import check_source
from seedbed.networks.inference import group_by_size
from seedbed.networks.transformer import Transformer, width_of
from seedbed.networks.weights import InitialWeights, load_components, read_pinned_components
from seedbed.types import Alignment, Image, PatchFeatures, cells


@parameters
class Reduction:
    """Principal components that vectors are reduced to, which takes less room and time."""

    count: Annotated[int, Field(ge=0, le=10_000)]  # of components; 0 keeps the vectors as they are
    fit: Literal["image", "file"]  # image: each image's own, of its patches; file: once for all, as `seedbed components` wrote them
    file: Annotated[str, LOCATION]  # empty unless fit is file
    sha256: str  # its digest, so that the same parameters always mean the same components; empty unless fit is file

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.fit != "file" and (self.file or self.sha256):
            raise ValueError("no file and no sha256 unless fit is file")
        return self

    def check_file(self) -> None:
        """Refuse a file that is not there, or is not the one that is meant."""
        if self.count and self.fit == "file":
            read_pinned_components(self.file, self.sha256)


@method
class Vit(features.Method):
    runs_network: ClassVar[bool] = True
    alignment: ClassVar[Alignment] = Alignment.RESIZED

    architecture: str  # a transformer of timm, such as vit_base_patch8_224.dino
    patch_size: Annotated[int, Field(ge=1, le=256)]  # edge of a patch, in pixels, which the weights must fit
    initial_weights: InitialWeights  # pretraining: those that the stage of that name has made
    what: Literal["keys", "tokens"]  # tokens of the last block are normalised as the network does before its head
    block: Annotated[int, Field(ge=1, le=1000)]  # counted from the end: 1 is the last
    centred: bool  # whether the mean of an image's patches is subtracted
    components: Reduction

    @property
    def num_channels(self) -> int:
        return self.components.count or width_of(self.architecture)

    @property
    def pretrained(self) -> bool:
        return self.initial_weights.source == "pretraining"

    def check(self) -> None:
        with torch.device("meta"):
            network = Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)
        check_source(network.trunk, self.initial_weights, "features")

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # without weights it is drawn, in every process the same
            network = Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)
        if self.components.count and self.components.fit == "file":
            network.components = self._components()
        return network if self.pretrained else network.initialise(self.initial_weights)

    def _components(self) -> Components:
        components = load_components(self.components.file, self.components.sha256)
        width = width_of(self.architecture)
        if components.directions.shape != (self.components.count, width):
            raise ParamsError(
                "params.yaml: components.count",
                found=f"{self.components.count} of {width} channels, where the file has {components.directions.shape}",
                expected="what the file holds",
                do="correct it, or run `seedbed components` again",
            )
        return components

    def describe(self, images: Sequence[Image], network: Transformer, *, device: str) -> list[PatchFeatures]:
        described: dict[int, npt.NDArray[np.float32]] = {}
        views = [self._view(image) for image in images]
        for places in group_by_size(views, device=device):
            batch = torch.from_numpy(np.stack([views[place] for place in places])).to(device).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                values = network(batch).float().cpu().numpy()
            described |= dict(zip(places, values, strict=True))
        finished = [self._finish(described[place], network) for place in range(len(images))]
        return [PatchFeatures(values=values, patch_size=self.patch_size, alignment=self.alignment) for values in finished]

    def _view(self, image: Image) -> Image:
        rows, columns = cells((image.shape[0], image.shape[1]), self.patch_size)
        size = columns * self.patch_size, rows * self.patch_size
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)  # of its own size, it stays as it is

    def _finish(self, values: npt.NDArray[np.float32], network: Transformer) -> npt.NDArray[np.float32]:
        """Values (patch_y, patch_x, channel), centred and reduced as wanted."""
        if self.centred:
            values = values - values.mean(axis=(0, 1))
        if not self.components.count:
            return np.asarray(values, np.float32)
        flat = values.reshape(-1, values.shape[-1])
        fitted = network.components or Components.of([flat], self.components.count)
        return fitted.of_vectors(flat).reshape(*values.shape[:2], self.components.count)
