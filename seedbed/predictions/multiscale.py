"""Probabilities averaged over scales and mirror images.

Paper: common practice since Chen et al., "DeepLab", TPAMI 2018.

Differs from the paper: it takes the largest logit over scales, this the mean probability; maps are kept at a lower resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from seedbed import predictions
from seedbed.augmentation import Scale
from seedbed.inference import summed, together
from seedbed.methods import method
from seedbed.networks import SegmentationNetwork
from seedbed.types import Image, Probabilities, cells


@method
class Multiscale(predictions.Method):
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # sizes at which the image is looked at
    flip: bool  # whether its mirror image is looked at too
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the maps that are kept

    @torch.inference_mode()
    def predict(self, network: SegmentationNetwork, images: Sequence[Image], *, device: str) -> list[Probabilities]:
        def probabilities(images_BCYX: Tensor) -> Tensor:
            logits: Tensor = network(images_BCYX)
            return logits.softmax(dim=1)

        made: dict[int, Probabilities] = {}
        for places in together(images, device=device):
            same = [images[place] for place in places]
            size = cells((same[0].shape[0], same[0].shape[1]), self.stride)
            sums = summed(probabilities, same, scales=self.scales, flip=self.flip, size=size, device=device)
            made |= {place: Probabilities(maps=maps / maps.sum(axis=0, keepdims=True)) for place, maps in zip(places, sums, strict=True)}
        return [made[place] for place in range(len(images))]
