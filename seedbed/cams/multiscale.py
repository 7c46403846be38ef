"""Class maps over scales and mirror images: their sum, or the largest value at every place, each class divided by its maximum.

Paper: as in Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations", CVPR 2019 (the sum), and
chapter 2 of the Seoul National University dissertation of 2022 (the largest value, without mirror images).

Differs from the paper: maps are stored at one resolution, a parameter, instead of two. Antialiased cubic resizing is Pillow's, whose kernel
is narrower than the Gaussian and the splines of the paper's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from seedbed import cams
from seedbed.learning.augmentation import Scale
from seedbed.methods import method
from seedbed.networks.contracts import ClassifierNetwork


@method
class Multiscale(cams.NetworkMethod):
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which the image is resized for the network
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how it is resized
    flip: bool  # whether the network sees its mirror image, too
    over_scales: Literal["sum", "largest"]  # how positive parts of the maps of all scales and mirror images are combined
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    def look(self, classifier: ClassifierNetwork, images_BCYX: Tensor, classes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        maps_BKyx, logits_BK = classifier.see(images_BCYX, classes)
        return maps_BKyx.clamp(min=0), logits_BK
