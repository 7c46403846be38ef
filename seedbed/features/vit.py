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
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from seedbed import features
from seedbed.inference import together
from seedbed.methods import method
from seedbed.transformer import Transformer, width_of
from seedbed.types import Image, PatchFeatures, cells
from seedbed.weights import InitialWeights


@method
class Vit(features.Method):
    runs_network: ClassVar[bool] = True

    architecture: str  # a transformer of timm, such as vit_base_patch8_224.dino
    patch_size: Annotated[int, Field(ge=1)]  # edge of a patch, in pixels, which the weights must fit
    initial_weights: InitialWeights  # pretraining: those that the stage of that name has made
    what: Literal["keys", "tokens"]  # tokens of the last block are normalised as the network does before its head
    block: Annotated[int, Field(ge=1)]  # counted from the end: 1 is the last
    centred: bool  # whether the mean of an image's patches is subtracted
    components: Annotated[int, Field(ge=0)]  # so many principal components of an image's patches are kept; 0 keeps the vectors as they are

    @property
    def num_channels(self) -> int:
        return self.components or width_of(self.architecture)

    @property
    def pretrained(self) -> bool:
        return self.initial_weights.source == "pretraining"

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # without weights it is drawn, in every process the same
            network = Transformer(self.architecture, patch_size=self.patch_size, what=self.what, block=self.block)
        return network if self.pretrained else network.initialised(self.initial_weights)

    def describe(self, images: Sequence[Image], network: Transformer, *, device: str) -> list[PatchFeatures]:
        described: dict[int, npt.NDArray[np.float32]] = {}
        views = [self._view(image) for image in images]
        for places in together(views, device=device):
            batch = torch.from_numpy(np.stack([views[place] for place in places])).to(device).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                values = network(batch).float().cpu().numpy()
            described |= dict(zip(places, values, strict=True))
        return [PatchFeatures(values=self._finished(described[place]), patch_size=self.patch_size) for place in range(len(images))]

    def _view(self, image: Image) -> Image:
        rows, columns = cells((image.shape[0], image.shape[1]), self.patch_size)
        size = columns * self.patch_size, rows * self.patch_size
        return image if image.shape[1::-1] == size else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def _finished(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values (patch_y, patch_x, channel), centred and reduced as wanted."""
        if self.centred or self.components:
            values = values - values.mean(axis=(0, 1))
        if self.components:
            flat = values.reshape(-1, values.shape[-1])
            _, _, directions = np.linalg.svd(flat, full_matrices=False)
            kept = flat @ directions[: self.components].T
            missing = self.components - kept.shape[1]  # where an image has fewer patches than components
            values = np.pad(kept, ((0, 0), (0, missing))).reshape(*values.shape[:2], self.components)
        return np.asarray(values, np.float32)
