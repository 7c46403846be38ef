"""Class maps of a linear classifier on features: each patch's own scores, where they are positive, each class divided by its maximum.

No network runs. Maps are as fine as the patches are.

Paper: as in Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.

Differs from the paper: whether the layer's offset counts is a parameter; there it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import special

from seedbed import cams
from seedbed.methods import method
from seedbed.types import ClassMaps, Image, LinearHead, PatchFeatures, cells


@method
class PatchScores(cams.Method):
    needs_features: ClassVar[bool] = True

    offset: bool  # inferred; whether the layer's offset is added to the scores of a patch
    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    def compute(
        self,
        classifier: Any,
        images: Sequence[Image],
        patches: Sequence[PatchFeatures],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        return [self._score(classifier, *each) for each in zip(images, patches, classes, strict=True)]

    def _score(
        self, head: LinearHead, image: Image, patches: PatchFeatures, classes: tuple[int, ...]
    ) -> tuple[ClassMaps, npt.NDArray[np.float32]]:
        size = image.shape[0], image.shape[1]
        logits = head.score(patches.values)
        present = [one - 1 for one in classes]
        scores = np.moveaxis(logits[..., present] - (0 if self.offset else head.offset[present]), -1, 0)
        maps = patches.resample(np.maximum(scores, 0), size, cells(size, self.stride))
        probabilities = special.expit(logits.mean(axis=(0, 1)))
        return self.scale(classes, maps), np.concatenate([np.zeros(1, np.float32), probabilities])
