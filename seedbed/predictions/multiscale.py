"""Probabilities over scales and mirror images: their mean, or the probabilities of the largest logits.

Paper: common practice since Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
Fully Connected CRFs", TPAMI 2018, which takes the largest logit over scales.

Differs from the paper: logits are resized to the stored resolution before the largest is taken; in the paper, to the network's own. Mirror
images, which the paper does not use, count like any other view. Maps are stored at a lower resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from seedbed import predictions
from seedbed.learning.augmentation import Scale
from seedbed.methods import method
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.networks.inference import combine_views, estimate_memory, group_by_size
from seedbed.types import Image, PatchFeatures, Probabilities, cells


@method
class Multiscale(predictions.Method):
    uses_gpu: ClassVar[bool] = True
    saves_memory: ClassVar[str] = "lower its scales, or let images be smaller: dataset.max_size, with dataset.larger: shrink"

    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which the image is resized for the network
    flip: bool  # whether the network sees its mirror image, too
    over_scales: Literal["mean_probability", "largest_logit"]  # how results of all scales and mirror images are combined
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    def memory(self, extents: Mapping[str, int]) -> int:
        return estimate_memory(extents, scales=self.scales, flip=self.flip)

    @torch.inference_mode()
    def predict(
        self, network: SegmentationNetwork, images: Sequence[Image], patches: Sequence[Sequence[PatchFeatures]], *, device: str
    ) -> list[Probabilities]:
        made: dict[int, Probabilities] = {}
        for places in group_by_size(images, device=device):
            same = [images[place] for place in places]
            made |= {place: Probabilities(maps=maps) for place, maps in zip(places, self._maps(network, same, device), strict=True)}
        return [made[place] for place in range(len(images))]

    def _maps(self, network: SegmentationNetwork, images: Sequence[Image], device: str) -> Iterator[npt.NDArray[np.float32]]:
        """Probabilities of images of one size."""

        def probabilities(images_BCYX: Tensor) -> Tensor:
            logits: Tensor = network(images_BCYX)
            return logits.softmax(dim=1)

        averaged = self.over_scales == "mean_probability"
        views = combine_views(
            probabilities if averaged else network,
            images,
            scales=self.scales,
            flip=self.flip,
            size=cells((images[0].shape[0], images[0].shape[1]), self.stride),
            device=device,
            interpolation="bilinear",
            by=torch.add if averaged else torch.maximum,
        )
        for maps in views:
            yield maps / maps.sum(axis=0) if averaged else torch.from_numpy(maps).softmax(dim=0).numpy()
