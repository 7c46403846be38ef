"""Class maps summed over scales and mirror images, each class divided by its maximum.

Paper: as in Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations", CVPR 2019.

Differs from the paper: one resolution is kept instead of two; it is a parameter.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from seedbed import cams
from seedbed.inference import summed
from seedbed.methods import method
from seedbed.networks import ClassifierNetwork
from seedbed.types import ClassMaps, Image, cells

SMALLEST_MAXIMUM = 1e-5  # below it a class map is nothing but noise and is not raised to 1


@method
class Multiscale(cams.Method):
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]  # sizes at which the image is looked at
    flip: bool  # whether its mirror image is looked at too
    stride: Annotated[int, Field(ge=1)]  # pixels per cell of the maps that are kept

    @torch.inference_mode()
    def compute(
        self, network: ClassifierNetwork, image: Image, classes: tuple[int, ...], *, device: str
    ) -> tuple[ClassMaps, npt.NDArray[np.float32]]:
        logits: list[Tensor] = []

        def positive_maps(images_BCYX: Tensor) -> Tensor:
            maps_BKyx: Tensor
            maps_BKyx, logits_BK = network(images_BCYX)
            logits.append(logits_BK.mean(dim=0))
            return maps_BKyx.clamp(min=0)

        maps = summed(positive_maps, image, scales=self.scales, flip=self.flip, size=cells(image.shape[:2], self.stride), device=device)[
            [one - 1 for one in classes]
        ]
        highest = maps.max(axis=(1, 2), keepdims=True, initial=SMALLEST_MAXIMUM)
        scores = torch.stack(logits).mean(dim=0).sigmoid().cpu().numpy()
        return ClassMaps(classes=classes, maps=maps / highest), np.concatenate([np.zeros(1, np.float32), scores])
