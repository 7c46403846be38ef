"""Probabilities of a segmenter that labels patches: its logits are brought to the resolution that is stored, and no other network runs.

With several kinds of features (of the image resized, or mirrored), probabilities are means over them.
Borders are as fine as the patches are. The dense CRF of `evaluation` and of `seedbed predict` moves them to those of the image.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import special

from seedbed import predictions
from seedbed.methods import method
from seedbed.networks.contracts import PatchSegmenter
from seedbed.types import Image, PatchFeatures, Probabilities, cells


@method
class PatchProbabilities(predictions.Method):
    needs_features: ClassVar[bool] = True

    stride: Annotated[int, Field(ge=1, le=256)]  # pixels per cell of the stored maps

    @torch.inference_mode()
    def predict(
        self, network: PatchSegmenter, images: Sequence[Image], patches: Sequence[Sequence[PatchFeatures]], *, device: str
    ) -> list[Probabilities]:
        return [self._label(network, *each, device=device) for each in zip(images, patches, strict=True)]

    def _label(self, network: PatchSegmenter, image: Image, views: Sequence[PatchFeatures], *, device: str) -> Probabilities:
        size, found = (image.shape[0], image.shape[1]), []
        for patches in views:
            values_1Dyx = torch.from_numpy(patches.values).to(device).permute(2, 0, 1)[None]
            logits = patches.resample(network(values_1Dyx)[0].float().cpu().numpy(), size, cells(size, self.stride))
            found.append(special.softmax(logits, axis=0))
        return Probabilities(np.mean(found, axis=0))
