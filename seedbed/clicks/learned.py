"""A network answers clicks that has learned to (`clicker`). It is shown all clicks on a thing, and what it answered last.

Before the first answer it is shown the whole image, then what is around its last answer, each brought to a square. A mask that clicks
correct is shown as if it were its last answer.

Paper: Li et al., "Multi-granularity Interaction Simulation for Unsupervised Interactive Segmentation" (MIS), ICCV 2023. How the network
is asked: Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive Segmentation" (RITM), 2021.

Differs from the paper: nothing known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from seedbed import clicks
from seedbed.algorithms.clicks import Answer, Mask
from seedbed.errors import ParamsError
from seedbed.methods import method
from seedbed.networks.zooming import Zoom, ZoomedAnswer


@method
class Learned(clicks.Method):
    needs_network: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    zoom: Zoom

    def memory(self, extents: Mapping[str, int]) -> int:
        return 200 * self.zoom.side**2 * 4  # maps of a network, at the resolution of what it is shown

    def check_network(self, stage: str, learned: Any) -> None:
        if self.zoom.side % learned.patch_size or self.zoom.side < 2 * learned.patch_size:
            raise ParamsError(
                f"params.yaml: {stage}.learned.zoom.side",
                found=str(self.zoom.side),
                expected=f"two or more whole patches, of which the network's are of {learned.patch_size} pixels",
                do="correct it",
            )

    def begin(self, seen: clicks.Seen, start: Mask) -> Answer:
        return ZoomedAnswer(seen.network, seen.image, self.zoom, seen.device, probabilities=start.astype(np.float32))
