"""Outlines of things as COCO writes them, drawn pixel for pixel as COCO's own tool draws them.

They are polygons, run lengths, or packed run lengths. Run lengths count pixels column by column, outside and inside in turn.
A polygon is drawn five times larger; where its border passes from one column of pixels to the next, a run ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seedbed.types import Size

LARGER = 5
FARTHEST = 1e5  # pixels
LONGEST = 10_000_000  # points of a border, which no outline of a thing has
MOST_BITS = 60  # of a run length
Shape: TypeAlias = npt.NDArray[np.bool_]  # (y, x)


def draw(outline: Any, size: Size) -> Shape:
    """A thing's pixels.

    outline: a list of polygons, or a mapping with `counts`.
    """
    if isinstance(outline, Mapping):
        counts = outline["counts"]
        if tuple(outline["size"]) != size:
            raise ValueError(f"run lengths for {tuple(outline['size'])} pixels where the image has {size}")
        return of_runs(unpack(counts) if isinstance(counts, str) else counts, size)
    shape = np.zeros(size, np.bool_)
    for polygon in outline:
        shape |= of_polygon(polygon, size)
    return shape


def of_runs(counts: Sequence[int], size: Size) -> Shape:
    """Pixels outside and inside in turn, column by column."""
    height, width = size
    if min(counts, default=0) < 0 or sum(counts) != height * width:  # by Python, whose sums have no bound
        raise ValueError(f"run lengths of {sum(counts)} pixels where the image has {height * width}")
    lengths = np.asarray(counts, np.int64)
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(inside.reshape(width, height).T)


def unpack(text: str) -> list[int]:
    """Run lengths from their packed form.

    A character carries five bits, lowest first, and whether there are more; from the third on, a length is told as the difference to the
    one before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} in packed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if shift > MOST_BITS:
            raise ValueError("a packed run length larger than any image")
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("packed run lengths that are cut short")
    return counts


def of_polygon(corners: Sequence[float], size: Size) -> Shape:
    """Pixels inside a polygon.

    corners: x, y, x, y, ...
    """
    height, width = size
    points = np.asarray(corners, np.float64).reshape(-1, 2)
    if len(points) < 2:
        raise ValueError(f"a polygon of {len(points)} corners")
    if not np.isfinite(points).all() or np.abs(points).max() > FARTHEST:
        raise ValueError("a polygon with corners far outside of any image")
    corners_of_border = (LARGER * points + 0.5).astype(np.int64)
    if np.abs(np.diff(corners_of_border, axis=0, append=corners_of_border[:1])).max(axis=1).sum() > LONGEST:
        raise ValueError("a polygon with a border longer than that of any thing")
    x, y = _border(corners_of_border)
    # Between these points the border passes from one large column to the next; only passages in the middle of a column of pixels count.
    passing = np.flatnonzero(x[1:] != x[:-1])
    before, after = x[passing], x[passing + 1]
    column = (np.where(after < before, after, after - 1) + 0.5) / LARGER - 0.5
    counted = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    row = (np.minimum(y[passing], y[passing + 1]) + 0.5) / LARGER - 0.5
    row = np.ceil(row.clip(0, height))
    switches = (column[counted] * height + row[counted]).astype(np.int64)
    inside = np.cumsum(np.bincount(switches, minlength=height * width)[: height * width]) % 2 == 1
    return np.ascontiguousarray(inside.reshape(width, height).T)


def _border(corners: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Points all along a closed border: one for each step along the longer direction of every side."""
    xs, ys = [], []
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        across, down = abs(x1 - x0), abs(y1 - y0)
        steps = np.arange(max(across, down) + 1)
        if across >= down:
            backwards = x0 > x1
            (left, top), (right, bottom) = ((x1, y1), (x0, y0)) if backwards else ((x0, y0), (x1, y1))
            slope = (bottom - top) / max(across, 1)
            x, y = left + steps, (top + slope * steps + 0.5).astype(np.int64)
        else:
            backwards = y0 > y1
            (left, top), (right, bottom) = ((x1, y1), (x0, y0)) if backwards else ((x0, y0), (x1, y1))
            slope = (right - left) / down
            y, x = top + steps, (left + slope * steps + 0.5).astype(np.int64)
        xs.append(x[::-1] if backwards else x)
        ys.append(y[::-1] if backwards else y)
    return np.concatenate(xs), np.concatenate(ys)
