"""A random walk over cells that resemble each other: class maps and background spread by the affinities of AffinityNet.

The confidence of a label is its share of the scores of background and the image's classes, or its probability after a CRF; with
`confidence: margin_rank` it is a rank, as in `irn`.

Paper: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly Supervised Semantic Segmentation",
CVPR 2018 (PSA). Presets: `seam` as in the published code of Wang et al., "Self-supervised Equivariant Attention Mechanism for Weakly
Supervised Semantic Segmentation", CVPR 2020; `mctformer` of Xu et al., "Multi-class Token Transformer for Weakly Supervised Semantic
Segmentation", CVPR 2022.

Differs from the paper: the transition matrix stays sparse (see `seedbed/algorithms/random_walk.py`); classes that the image does not
contain are left out, which changes no label. The walk between superpixels and links of the cells near the border are additions of ours.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed import refinement
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.random_walk import Links, Walk
from seedbed.methods import check_preset, method
from seedbed.types import CellEdges, Evidence, cells

PRESETS = {
    "psa": {"background": "power", "background_value": 16, "walk.radius": 5, "walk.power": 8, "walk.squarings": 8},
    "seam": {"background": "power", "background_value": 6, "walk.radius": 5, "walk.power": 8, "walk.squarings": 6},
    "mctformer": {"background": "constant", "background_value": 0.39, "walk.radius": 5, "walk.power": 8, "walk.squarings": 6},
}


@method
class Psa(refinement.WalkingMethod):
    preset: Literal["own", "psa", "seam", "mctformer"]  # published set of the next numbers and of those of the walk, or own
    background: Literal["power", "constant"]  # power: background is (1 - strongest class map) to a power; constant: it is one number
    background_value: Annotated[float, Field(gt=0, le=1000)]  # the power (paper: alpha), or the number
    border_links: bool  # whether cells near the left, right and lower border are linked with those beyond; false in the paper's code
    walk: Walk
    crf: DenseCrf  # afterwards; with 0 iterations there is none
    confidence: refinement.Confidence  # of a label: its probability, or how its margin ranks among the pixels with that label

    @model_validator(mode="after")
    def _check_preset(self) -> Self:
        check_preset(self, PRESETS)
        if self.background == "constant" and self.background_value > 1:
            raise ValueError("a background_value no more than 1 where background is constant")
        return self

    @property
    def compared(self) -> int:
        return self.walk.radius

    def link_cells(self, edges: CellEdges) -> Links:
        return self.walk.link(np.exp(-edges.distances), border=self.border_links)

    def score_cells(self, known: Evidence) -> npt.NDArray[np.float32]:
        """Means of background and classes over the pixels of each cell: beyond the image they are 0."""
        scores, stride = known.maps.add_background(self.background_value), known.edges.stride
        if self.background == "constant":
            scores[0] = self.background_value
        rows, columns = cells(known.size, stride)
        padded = np.pad(scores, ((0, 0), (0, rows * stride - known.size[0]), (0, columns * stride - known.size[1])))
        return np.asarray(padded.reshape(len(scores), rows, stride, columns, stride).mean(axis=(2, 4)), np.float32)

    def believe(self, walked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return walked
