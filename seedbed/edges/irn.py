"""Boundaries between classes, and for each cell the way to the middle of its thing, by IRNet.

Paper: Ahn et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations" (IRN), CVPR 2019.

Differs from the paper: not in what we know of. As in its code, boundaries are means of the image and its mirror image, displacement is the
image's alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from seedbed import edges
from seedbed.methods import method
from seedbed.networks.contracts import BoundaryNetwork
from seedbed.networks.inference import group_by_size, stack_images
from seedbed.types import CellEdges, Image


@method
class Irn(edges.Method):
    flip: bool  # whether boundaries are looked for in the mirror image, too

    @torch.inference_mode()
    def find(self, network: BoundaryNetwork, images: Sequence[Image], *, device: str) -> list[CellEdges]:
        found: dict[int, CellEdges] = {}
        for places in group_by_size(images, device=device):
            views_BCYX = stack_images([images[place] for place in places], device)
            boundaries_Byx, displacement_B2yx = network(torch.cat([views_BCYX, views_BCYX.flip(-1)]) if self.flip else views_BCYX)
            if self.flip:
                boundaries_Byx = (boundaries_Byx[: len(places)] + boundaries_Byx[len(places) :].flip(-1)) / 2
            answers = boundaries_Byx.float().sigmoid().cpu().numpy(), displacement_B2yx[: len(places)].float().cpu().numpy()
            for place, boundaries, displacement in zip(places, *answers, strict=True):
                found[place] = CellEdges(boundaries, displacement, np.zeros((0, *boundaries.shape), np.float32), network.stride)
        return [found[place] for place in range(len(images))]
