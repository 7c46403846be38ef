"""What labels say of pairs of cells, and losses of pairs.

Shapes: B images, P pairs of each cell, y x cells; h w of those that have all their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seedbed.algorithms.cell_pairs import find_margin, list_offsets, shift_window
from seedbed.types import BACKGROUND, IGNORE, cells

EPSILON = 1e-5  # the published codes', in logarithms and in the number of pairs


def check_views(crop: int, stride: int, radius: int) -> None:
    """Refuse views in which no cell has all its pairs, so that nothing would be learned.

    crop: edge of a view, in pixels.
    """
    columns = cells((crop, crop), stride)[1]
    if columns <= 2 * find_margin(radius):
        most = (columns + 1) // 2
        raise ValueError(f"a radius of at most {most}, because a view of {crop} pixels has {columns} cells in a row, or a larger crop")


@dataclass(frozen=True)
class PairLabels:
    """Whether both cells of each pair (B, P, h, w) have labels, and which."""

    background: Tensor  # both are background
    foreground: Tensor  # both are of one class
    different: Tensor  # they are not of one class

    @classmethod
    def of(cls, labels_BYX: Tensor, grid: tuple[int, int], radius: int) -> PairLabels:
        """From labels of pixels: that of a cell is its middle pixel's.

        grid: rows and columns of cells.
        """
        labels_Byx = functional.interpolate(labels_BYX[:, None].float(), size=grid, mode="nearest-exact")[:, 0].long()
        margin = find_margin(radius)
        one_B1hw = shift_window(labels_Byx, (0, 0), margin)[:, None]
        others_BPhw = torch.stack([shift_window(labels_Byx, offset, margin) for offset in list_offsets(radius)], dim=1)
        known, same = (one_B1hw != IGNORE) & (others_BPhw != IGNORE), one_B1hw == others_BPhw
        return cls(
            background=known & same & (one_B1hw == BACKGROUND),
            foreground=known & same & (one_B1hw != BACKGROUND),
            different=known & ~same,
        )


def average_over(losses: Tensor, pairs: Tensor) -> Tensor:
    """Mean of losses over some pairs; 0 where there are none."""
    return (losses * pairs).sum() / (pairs.sum() + EPSILON)
