"""Class maps of a linear classifier on features: each patch's own scores, where they are positive, each class divided by its maximum.

No network runs. Maps are as fine as the patches are. With several kinds of features (of the image resized, or mirrored) positive scores are
added before they are divided, and the probability of a class is that of its mean score, as in `multiscale`.

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
        patches: Sequence[Sequence[PatchFeatures]],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        return [self._score(classifier, *each) for each in zip(images, patches, classes, strict=True)]

    def _score(
        self, head: LinearHead, image: Image, views: Sequence[PatchFeatures], classes: tuple[int, ...]
    ) -> tuple[ClassMaps, npt.NDArray[np.float32]]:
        size, present = (image.shape[0], image.shape[1]), [one - 1 for one in classes]
        maps = np.zeros((len(classes), *cells(size, self.stride)), np.float32)
        means = []
        for patches in views:
            logits = head.score(patches.values)
            scores = np.moveaxis(logits[..., present] - (0 if self.offset else head.offset[present]), -1, 0)
            maps += patches.resample(np.maximum(scores, 0), size, cells(size, self.stride))
            means.append(logits.mean(axis=(0, 1)))
        probabilities = special.expit(np.mean(means, axis=0))
        return self.scale(classes, maps), np.concatenate([np.zeros(1, np.float32), probabilities])
