"""Class maps of a transformer, multiplied by what a token of each class attends to, and spread by what patches attend to.

Over scales and mirror images as in `multiscale`. Attention is one number for each pair of tokens, so memory grows with the fourth power of
the scale.

Paper: Xu et al., "Multi-class Token Transformer for Weakly Supervised Semantic Segmentation", CVPR 2022.

Differs from the paper: attention of several blocks is added, as in its code. Fused maps are brought to 0 to 1 in every view, there once,
over all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from seedbed import cams
from seedbed.errors import ParamsError
from seedbed.learning.augmentation import Scale
from seedbed.methods import method
from seedbed.networks.contracts import AttentiveNetwork, ClassifierNetwork

SMALL = 64  # edge of an image of which nothing is computed
Layers = Annotated[int, Field(ge=0, le=1000)]


@method
class Attention(cams.NetworkMethod):
    class_layers: Layers  # paper: 3; last blocks by whose attention of class tokens maps are multiplied; 0: none
    patch_layers: Layers  # paper: all; last blocks by whose attention between patches maps are spread; 0: none
    scales: Annotated[tuple[Scale, ...], Field(min_length=1)]  # factors by which the image is resized for the network
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how it is resized
    flip: bool  # whether the network sees its mirror image, too
    over_scales: Literal["sum", "largest"]  # how maps of all scales and mirror images are combined
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    def check_network(self, build: Callable[[], Any]) -> None:
        with torch.device("meta"):
            self.look(build(), torch.empty(1, 3, SMALL, SMALL), [()])

    def look(self, classifier: ClassifierNetwork, images_BCYX: Tensor, classes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        if not isinstance(classifier, AttentiveNetwork):
            raise ParamsError(
                "params.yaml: cams.method",
                found="attention, of a classifier that has none",
                expected="multiscale, unless classifier.method is usage",
                do="correct one of the two",
            )
        return classifier.attend(images_BCYX, class_layers=self.class_layers, patch_layers=self.patch_layers)
