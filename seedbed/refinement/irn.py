"""A random walk over cells between which no boundary lies: class maps spread up to the boundaries that IRNet sees.

The confidence of a label is its share of the scores of background and the image's classes, or its probability after a CRF. With
`confidence: margin_rank` it is a rank: a pixel's margin is its highest score minus the second highest, and its confidence is the share of
the image's pixels with the same label whose margin is no larger. A `least_confidence` of 0.5 then trusts half of each label's pixels in an
image, the ones with the largest margins, rounded up and with any that are tied with the last.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019. The preset `rib` is of
Lee et al., "Reducing Information Bottleneck for Weakly Supervised Semantic Segmentation", NeurIPS 2021. Ranks of margins are from
Rong et al., "Boundary-Enhanced Co-Training for Weakly Supervised Semantic Segmentation", CVPR 2023 (BECO).

Differs from the paper: the transition matrix stays sparse (see `seedbed/algorithms/random_walk.py`). Class maps of another stride than that
of the boundaries are resized. The walk between superpixels and the CRF are additions of ours.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed import refinement
from seedbed.algorithms.boundary_walk import keep_within, link_within, measure_relative
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.random_walk import Links, Walk
from seedbed.methods import check_preset, method
from seedbed.types import CellEdges, Evidence

PRESETS = {
    "irn": {"threshold": 0.25, "walk.radius": 5, "walk.power": 10, "walk.squarings": 8},
    "rib": {"threshold": 0.27, "walk.radius": 5, "walk.power": 10, "walk.squarings": 8},
}


@method
class Irn(refinement.WalkingMethod):
    preset: Literal["own", "irn", "rib"]  # published set of the next number and of those of the walk, or own
    threshold: Annotated[float, Field(gt=0, lt=1)]  # score of background; the highest of all classes and pixels is 1
    walk: Walk
    crf: DenseCrf  # afterwards; the paper has none: 0 iterations
    confidence: refinement.Confidence  # of a label: its probability, or how its margin ranks among the pixels with that label

    @model_validator(mode="after")
    def _check_preset(self) -> Self:
        check_preset(self, PRESETS)
        return self

    def link_cells(self, edges: CellEdges) -> Links:
        return link_within(edges.boundaries, self.walk)

    def score_cells(self, known: Evidence) -> npt.NDArray[np.float32]:
        return keep_within(known.class_maps, known.edges.boundaries)

    def believe(self, walked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.pad(measure_relative(walked), ((1, 0), (0, 0), (0, 0)), constant_values=self.threshold)
