"""A dense CRF over background and the classes that the image contains.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011; background
as in Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision", CVPR 2018.

The confidence of a label is its probability after inference.

Differs from the paper: classes that the image does not contain are left out, which saves time and changes no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from seedbed import refinement
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import method
from seedbed.types import BACKGROUND, ClassMaps, Image, PseudoMask


@method
class Crf(refinement.Method):
    uses_gpu: ClassVar[bool] = True

    background_power: Annotated[float, Field(gt=0, le=1000)]  # paper: alpha; background is (1 - strongest class map) to this power
    crf: DenseCrf

    def memory(self, extents: Mapping[str, int]) -> int:
        return self.crf.memory(2, extents)  # background and one class at the least

    def refine(self, image: Image, class_maps: ClassMaps, *, device: str = "cpu") -> PseudoMask:
        if not class_maps.classes:
            return PseudoMask.empty((image.shape[0], image.shape[1]))
        background = (1.0 - class_maps.maps.max(axis=0)) ** self.background_power
        beliefs = np.concatenate([background[None], class_maps.maps]).astype(np.float32)
        classes = np.array([BACKGROUND, *class_maps.classes], np.uint8)
        probabilities = self.crf.probabilities(image, beliefs, device=device)
        return PseudoMask.of(classes[probabilities.argmax(axis=0)], probabilities.max(axis=0))
