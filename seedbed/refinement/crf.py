"""A dense CRF over background and the classes that the image contains.

Paper: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011; background
as in Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision", CVPR 2018.

The confidence of a label is its probability after inference.

Differs from the paper: classes that the image does not contain are left out, which saves time and changes no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from seedbed import refinement
from seedbed.algorithms.crf import DenseCrf
from seedbed.methods import method
from seedbed.types import Evidence, PseudoMask


@method
class Crf(refinement.Method):
    uses_gpu: ClassVar[bool] = True

    background_power: Annotated[float, Field(gt=0, le=1000)]  # paper: alpha; background is (1 - strongest class map) to this power
    crf: DenseCrf

    def memory(self, extents: Mapping[str, int]) -> int:
        return self.crf.memory(2, extents)  # background and one class at the least

    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        places = [place for place, one in enumerate(known) if one.class_maps.classes]
        beliefs = [known[place].maps.add_background(self.background_power) for place in places]
        inferred = self.crf.probabilities([known[place].image for place in places], beliefs, device=device)
        masks = [PseudoMask.empty(one.size) for one in known]
        for place, probabilities in zip(places, inferred, strict=True):
            masks[place] = PseudoMask.likeliest(known[place].class_maps, probabilities)
        return masks
