"""How far the features of neighbouring cells are from each other, by AffinityNet.

For people to look at, a boundary is where a cell is unlike those beside it: 1 minus its mean affinity to them.

Paper: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly Supervised Semantic Segmentation",
CVPR 2018 (PSA).

Differs from the paper: distances of pairs are kept instead of features, which takes a thirteenth of the room and gives the same affinities.
Images are not padded to whole cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seedbed import edges
from seedbed.algorithms.cell_pairs import list_offsets, split_pairs
from seedbed.methods import method
from seedbed.networks.contracts import PairNetwork
from seedbed.networks.inference import group_by_size, stack_images
from seedbed.types import CellEdges, Image


@method
class Psa(edges.Method):
    @torch.inference_mode()
    def find(self, network: PairNetwork, images: Sequence[Image], *, device: str) -> list[CellEdges]:
        found: dict[int, CellEdges] = {}
        for places in group_by_size(images, device=device):
            features_BDyx = network(stack_images([images[place] for place in places], device)).float()
            for place, distances in zip(places, _compare(features_BDyx, network.radius), strict=True):
                displacement = np.zeros((2, *distances.shape[1:]), np.float32)
                found[place] = CellEdges(_outline(distances), displacement, distances, network.stride)
        return [found[place] for place in range(len(images))]


def _compare(features_BDyx: Tensor, radius: int) -> npt.NDArray[np.float32]:
    """Mean absolute difference of the features of pairs (B, pair, y, x); 0 where there is no cell at the offset."""
    offsets = list_offsets(radius)
    batch, _, rows, columns = features_BDyx.shape
    distances_BPyx = features_BDyx.new_zeros(batch, len(offsets), rows, columns)
    for pair, offset in enumerate(offsets):
        one, other = split_pairs(features_BDyx, offset)
        split_pairs(distances_BPyx[:, pair], offset)[0].copy_((one - other).abs().mean(dim=1))
    return distances_BPyx.cpu().numpy()


def _outline(distances: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 minus each cell's mean affinity (y, x) to those beside, above and below it."""
    total, count = np.zeros(distances.shape[1:], np.float32), np.full(distances.shape[1:], np.finfo(np.float32).tiny, np.float32)
    for offset, one in zip(((0, 1), (1, 0)), distances, strict=False):  # the shortest offsets are the first
        affinities, _ = split_pairs(np.exp(-one), offset)
        for sums, counts in zip(split_pairs(total, offset), split_pairs(count, offset), strict=True):
            sums += affinities
            counts += 1
    return np.asarray(np.where(count >= 1, 1 - total / count, 0), np.float32)
