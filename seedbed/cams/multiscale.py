"""Class maps over scales and mirror images: their sum, or the largest value at every place, each class divided by its maximum.

Paper: as in Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations", CVPR 2019 (the sum), and
chapter 2 of the Seoul National University dissertation of 2022 (the largest value, without mirror images).

Differs from the paper: maps are stored at one resolution, a parameter, instead of two. Antialiased cubic resizing is Pillow's, whose kernel
is narrower than the Gaussian and the splines of the paper's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from seedbed import cams
from seedbed.learning.augmentation import Scale
from seedbed.methods import method
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.inference import combine_views, estimate_memory, group_by_size
from seedbed.types import ClassMaps, Image, PatchFeatures, cells


@method
class Multiscale(cams.Method):
    saves_memory: ClassVar[str] = "lower its scales, or let images be smaller: dataset.max_size, with dataset.larger: shrink"

    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which the image is resized for the network
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how it is resized
    flip: bool  # whether the network sees its mirror image, too
    over_scales: Literal["sum", "largest"]  # how positive parts of the maps of all scales and mirror images are combined
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    def memory(self, extents: Mapping[str, int]) -> int:
        return estimate_memory(extents, scales=self.scales, flip=self.flip)

    @torch.inference_mode()
    def compute(
        self,
        classifier: ClassifierNetwork,
        images: Sequence[Image],
        patches: Sequence[Sequence[PatchFeatures]],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        made: dict[int, tuple[ClassMaps, npt.NDArray[np.float32]]] = {}
        for places in group_by_size(images, device=device):
            all_maps, all_scores = self._run(classifier, [images[place] for place in places], device)
            for place, maps, scores in zip(places, all_maps, all_scores, strict=True):
                present = maps[[one - 1 for one in classes[place]]]
                made[place] = self.scale(classes[place], present), np.concatenate([np.zeros(1, np.float32), scores])
        return [made[place] for place in range(len(images))]

    def _run(
        self, network: ClassifierNetwork, images: Sequence[Image], device: str
    ) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        """Maps and probabilities of all classes, for images of one size."""
        logits: list[Tensor] = []

        def positive_maps(images_BCYX: Tensor) -> Tensor:
            maps_BKyx: Tensor
            maps_BKyx, logits_BK = network(images_BCYX)
            logits.append(logits_BK.unflatten(0, (-1, len(images))).mean(dim=0))
            return maps_BKyx.clamp(min=0)

        size = cells((images[0].shape[0], images[0].shape[1]), self.stride)
        maps = combine_views(
            positive_maps,
            images,
            scales=self.scales,
            flip=self.flip,
            size=size,
            device=device,
            interpolation=self.interpolation,
            by=torch.add if self.over_scales == "sum" else torch.maximum,
        )
        return list(maps), torch.stack(logits).mean(dim=0).sigmoid().cpu().numpy()
