"""Labels to learn affinities from: what is a class at a high threshold of class maps, and background at a low one, each after a dense CRF.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019. The preset `rib` is of
Lee et al., "Reducing Information Bottleneck for Weakly Supervised Semantic Segmentation", NeurIPS 2021.

Differs from the paper: class maps are brought to the size of pixels from the resolution in which they are stored; its code keeps a second,
larger version.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed import seeds
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import check_preset, method
from seedbed.types import BACKGROUND, IGNORE, Evidence, LabelMap

Share = Annotated[float, Field(ge=0, lt=1)]
PRESETS = {
    "irn": {"foreground": 0.3, "background": 0.05, "certainty": 0.7},
    "rib": {"foreground": 0.35, "background": 0.17, "certainty": 0.7},
}


@method
class Irn(seeds.Method):
    needs_regions: ClassVar[bool] = False
    sees_images: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    preset: Literal["own", "irn", "rib"]  # published set of the next three numbers, or own
    foreground: Share  # class maps above it are a class, of which one is sure if it is still one after the CRF
    background: Share  # where no class map is above it is background, of which one is sure likewise
    certainty: Annotated[float, Field(gt=0, lt=1)]  # probability that the CRF gives to a pixel's label before inference
    crf: DenseCrf

    @model_validator(mode="after")
    def _check_preset(self) -> Self:
        check_preset(self, PRESETS)
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.background > self.foreground:
            raise ValueError(f"a background no more than foreground, which is {self.foreground}")
        return self

    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        if not known.class_maps.classes:
            return np.full(known.size, BACKGROUND, np.uint8)
        foreground, background = (self._cut(known, one, device) for one in (self.foreground, self.background))
        unsure = np.where(background == BACKGROUND, BACKGROUND, IGNORE)
        return np.asarray(np.where(foreground != BACKGROUND, foreground, unsure), np.uint8)

    def _cut(self, known: Evidence, threshold: float, device: str) -> npt.NDArray[np.uint8]:
        """The strongest class where its map is above a threshold, else background, after the CRF."""
        scores = np.pad(known.maps.maps, ((1, 0), (0, 0), (0, 0)), constant_values=threshold)
        labels = scores.argmax(axis=0).astype(np.int32)
        refined = self.crf.labels(known.image, labels, count=len(scores), certainty=self.certainty, device=device)
        return known.class_maps.names[refined]
