"""Labels to learn affinities from: what two dense CRFs agree on, of which one begins with strong background and the other with weak.

A pixel that is a class in spite of strong background is sure, as is one that is background although that is weak.

Paper: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly Supervised Semantic Segmentation",
CVPR 2018 (PSA). Presets: `seam` of Wang et al., "Self-supervised Equivariant Attention Mechanism for Weakly Supervised Semantic
Segmentation", CVPR 2020; `mctformer` of Xu et al., "Multi-class Token Transformer for Weakly Supervised Semantic Segmentation", CVPR 2022.

Differs from the paper: labels are kept, not the probabilities that they follow from; its code averages those over the cells of a view, then
takes the likeliest.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from seedbed import seeds
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import check_preset, method
from seedbed.types import BACKGROUND, IGNORE, Evidence, LabelMap

Power = Annotated[float, Field(gt=0, le=1000)]
PRESETS = {
    "psa": {"strong_background": 4, "weak_background": 32},
    "seam": {"strong_background": 4, "weak_background": 24},
    "mctformer": {"strong_background": 1, "weak_background": 12},
}


@method
class Psa(seeds.Method):
    needs_regions: ClassVar[bool] = False
    sees_images: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    preset: Literal["own", "psa", "seam", "mctformer"]  # published set of the next two numbers, or own
    strong_background: Power  # paper: alpha of "la"; background is (1 - strongest class map) to this power: what is a class then is sure
    weak_background: Power  # paper: alpha of "ha"; likewise: what is background then is sure
    crf: DenseCrf

    @model_validator(mode="after")
    def _check_preset(self) -> Self:
        check_preset(self, PRESETS)
        return self

    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        if not known.class_maps.classes:
            return np.full(known.size, BACKGROUND, np.uint8)
        beliefs = [known.maps.add_background(power) for power in (self.strong_background, self.weak_background)]
        inferred = self.crf.probabilities([known.image, known.image], beliefs, device=device)
        strong, weak = (known.class_maps.names[one.argmax(axis=0)] for one in inferred)
        labels = np.where(strong == BACKGROUND, IGNORE, strong)
        return np.asarray(np.where(weak == BACKGROUND, BACKGROUND, labels), np.uint8)
