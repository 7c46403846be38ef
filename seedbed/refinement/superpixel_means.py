"""Class maps averaged within superpixels: each superpixel takes the class with the highest mean, if that is above a threshold.

Where an object is one superpixel or a few, its mask follows from a few sure pixels. Scores may first spread between superpixels that look
alike (`propagation`), and a dense CRF may move the borders of the labels afterwards. No network is trained.

The confidence of a class is the mean of its map in the superpixel, that of background 1 minus the highest mean; after a CRF it is the
label's probability.

Paper: none; averaging scores within superpixels is common, as in Kwak et al., "Weakly Supervised Semantic Segmentation Using Superpixel
Pooling Network", AAAI 2017.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import refinement
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.region_means import Propagation
from seedbed.methods import method
from seedbed.types import Evidence, PseudoMask


@method
class SuperpixelMeans(refinement.Method):
    uses_gpu: ClassVar[bool] = True  # for the dense CRF

    threshold: Annotated[float, Field(ge=0, lt=1)]  # inferred; mean class maps above it become labels
    propagation: Propagation
    crf_certainty: Annotated[float, Field(gt=0, lt=1)]  # inferred; probability that the CRF gives to a pixel's label before inference
    crf: DenseCrf

    @property
    def unread(self) -> tuple[str, ...]:
        return ("edges",) if self.propagation.share else ("features", "edges")

    def memory(self, extents: Mapping[str, int]) -> int:
        return self.crf.memory(2, extents)  # background and one class at the least

    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        masks = [PseudoMask.empty(one.size) for one in known]
        labelled = [place for place, one in enumerate(known) if one.class_maps.classes]
        labels = dict[int, npt.NDArray[np.intp]]()
        for place in labelled:
            labels[place], confidence = self._label(known[place])
            masks[place] = PseudoMask.of(known[place].class_maps.names[labels[place]], confidence)
        if not self.crf.iterations:
            return masks
        beliefs = [self._believe(labels[place], len(known[place].class_maps.classes)) for place in labelled]
        inferred = self.crf.probabilities([known[place].image for place in labelled], beliefs, device=device)
        for place, probabilities in zip(labelled, inferred, strict=True):
            masks[place] = PseudoMask.likeliest(known[place].class_maps, probabilities)
        return masks

    def _label(self, one: Evidence) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """For every pixel, the place of its label among background and the image's classes, and the label's confidence."""
        means = self.propagation.score(one.maps.maps, one.regions, one.patches)
        highest = means.max(axis=0)
        above = highest > self.threshold
        labels, confidence = np.where(above, 1 + means.argmax(axis=0), 0), np.where(above, highest, 1 - highest)
        return labels[one.regions], np.asarray(confidence[one.regions], np.float32)

    def _believe(self, labels: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.float32]:
        """Probabilities of background and the image's classes before inference.

        count: of classes.
        """
        beliefs = np.full((1 + count, *labels.shape), (1 - self.crf_certainty) / count, np.float32)
        np.put_along_axis(beliefs, labels[None], np.float32(self.crf_certainty), axis=0)
        return beliefs
