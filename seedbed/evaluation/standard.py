"""The usual figures: class maps at one declared threshold, predictions as they are and after a dense CRF.

Paper: Chen et al., "DeepLab", TPAMI 2018, for the CRF.

Differs from the paper: the threshold of class maps is declared beforehand. The best one of a sweep is reported beside it, as the
oracle that it is, for comparison with papers that search it with the truth at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from seedbed import evaluation
from seedbed.algorithms.crf import DenseCrf
from seedbed.evaluation import Sweep
from seedbed.methods import method
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.judgement import PREDICTIONS, REFINED
from seedbed.types import BACKGROUND, ClassMaps, Image, LabelMap, Probabilities


@method
class Standard(evaluation.Method):
    uses_gpu: ClassVar[bool] = True

    threshold: Annotated[float, Field(ge=0, le=1)]  # where no class map exceeds it is background
    sweep: Sweep
    boundaries: Boundaries
    size_bounds: tuple[Annotated[float, Field(gt=0, lt=1)], ...]  # shares of the image that part small things from larger ones
    crf: DenseCrf

    @model_validator(mode="after")
    def _bounds_ascend(self) -> Self:
        if list(self.size_bounds) != sorted(set(self.size_bounds)):
            raise ValueError("bounds that ascend")
        return self

    def memory(self, extents: Mapping[str, int]) -> int:
        return self.crf.memory(extents["class"], extents)

    def from_class_maps(self, class_maps: ClassMaps) -> LabelMap:
        background = np.full((1, *class_maps.maps.shape[1:]), self.threshold, np.float32)
        classes = np.array([BACKGROUND, *class_maps.classes], np.uint8)
        return np.asarray(classes[np.concatenate([background, class_maps.maps]).argmax(axis=0)], np.uint8)

    def from_probabilities(
        self, images: Sequence[Image], probabilities: Sequence[Probabilities], *, device: str = "cpu"
    ) -> list[dict[str, LabelMap]]:
        refined = self.crf.probabilities(images, [one.maps for one in probabilities], device=device)
        return [{PREDICTIONS: one.labels, REFINED: Probabilities(maps).labels} for one, maps in zip(probabilities, refined, strict=True)]
