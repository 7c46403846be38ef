"""Pairs of cells of a grid that are near each other, each of them once: a cell, and another at an offset in the half plane beyond it.

Paper: Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision", CVPR 2018; paths between the two cells as in Ahn
et al., "Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from itertools import count
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seedbed.types import Size

Offset = tuple[int, int]  # rows down and columns to the right; a row down, or in the same row to the right
Maps = TypeVar("Maps", bound=Any)  # an array or tensor (..., y, x)


@cache
def list_offsets(radius: int) -> tuple[Offset, ...]:
    """Offsets shorter than a radius, in cells, the shortest first: those of a smaller radius are the first of a larger."""
    reach = range(1 - radius, radius)
    found = [(y, x) for y in range(radius) for x in reach if (y or x > 0) and y * y + x * x < radius * radius]
    return tuple(sorted(found, key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset)))


def find_radius(pairs: int) -> int:
    """The radius from which so many offsets follow; 0 of none."""
    return next(radius for radius in count(2) if len(list_offsets(radius)) >= pairs) if pairs else 0


@cache
def trace_path(offset: Offset) -> tuple[Offset, ...]:
    """Cells on the straight way to an offset, both ends among them: all between them that are nearer to the line than a cell."""
    rows, columns = offset
    across = range(min(0, columns), max(0, columns) + 1)
    return tuple((y, x) for y in range(rows + 1) for x in across if (rows * x - columns * y) ** 2 < rows * rows + columns * columns)


def find_margin(radius: int) -> int:
    """Cells from the left, right and lower border within which a cell may lack a pair."""
    return radius - 1


def shift_window(maps: Maps, offset: Offset, margin: int) -> Maps:
    """What lies at an offset from each cell that has all its pairs: from those that are no nearer than the margin to a border."""
    height, width = maps.shape[-2:]
    top, left = offset[0], margin + offset[1]
    window: Maps = maps[..., top : top + max(0, height - margin), left : left + max(0, width - 2 * margin)]
    return window


def split_pairs(maps: Maps, offset: Offset) -> tuple[Maps, Maps]:
    """Both sides of all pairs with an offset, those near the border among them."""
    height, width = maps.shape[-2:]
    down, right, left = offset[0], max(0, offset[1]), max(0, -offset[1])
    return maps[..., : max(0, height - down), left : max(left, width - right)], maps[..., down:, right : max(right, width - left)]


def mask_sources(grid: Size, offset: Offset, *, margin: int) -> npt.NDArray[np.bool_]:
    """Cells (y, x) that have a pair at an offset and are no nearer than the margin to the left, right and lower border."""
    (height, width), (down, across) = grid, offset
    found = np.zeros(grid, bool)
    found[: max(0, height - max(down, margin)), max(-across, margin) : max(0, width - max(across, margin))] = True
    return found


def measure_barriers(boundaries: Maps, radius: int, maximum: Callable[[Maps, Maps], Maps]) -> list[Maps]:
    """For each offset, the highest boundary on the way from each cell that has all its pairs.

    maximum: of two arrays or tensors, at every place.
    """
    margin = find_margin(radius)
    return [reduce(maximum, (shift_window(boundaries, cell, margin) for cell in trace_path(offset))) for offset in list_offsets(radius)]
