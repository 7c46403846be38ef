"""Outlines of what is labelled, as other programs want them: run lengths as COCO packs them, polygons, brush strokes of Label Studio.

`seedbed.scoring.outlines` reads what is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import BACKGROUND, IGNORE, LabelMap, Size

Shape: TypeAlias = npt.NDArray[np.bool_]  # (y, x)
Polygon: TypeAlias = list[tuple[int, int]]  # corners (x, y), on the lines between pixels, the first not repeated
CHARACTER, MORE, SIGN = 48, 32, 16
RIGHT, DOWN, LEFT, UP = STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
STROKES = (3, 4, 8, 16)  # bits in which Label Studio tells lengths of runs


def measure_runs(shape: Shape) -> list[int]:
    """Lengths of runs outside and inside in turn, column by column; the first is outside and may be 0."""
    return _measure(shape.ravel(order="F"))


def _measure(flat: npt.NDArray[np.bool_]) -> list[int]:
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [len(flat)]]))
    return [*([0] if flat[0] else []), *(int(length) for length in lengths)]


def pack_runs(counts: Sequence[int]) -> str:
    """Run lengths in COCO's packed form, which `outlines.unpack` describes."""
    text: list[str] = []
    for place, count in enumerate(counts):
        value, more = count - (counts[place - 2] if place > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & SIGN else 0)
            text.append(chr(CHARACTER + (bits | MORE if more else bits)))
    return "".join(text)


def encode_strokes(shape: Shape) -> list[int]:
    """Pixels as Label Studio keeps those of a brush: runs of bytes of a picture (y, x, rgba), packed bit by bit."""
    bits = [f"{4 * shape.size:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in STROKES)]
    inside = False
    for length in _measure(shape.ravel()):
        left = 4 * length
        while left:
            index = next((place for place, size in enumerate(STROKES) if left <= 1 << size), len(STROKES) - 1)
            taken = min(left, 1 << STROKES[index])
            bits.append(f"1{index:02b}{taken - 1:0{STROKES[index]}b}{255 * inside:08b}")
            left -= taken
        inside = not inside
    text = "".join(bits)
    padded = text.ljust(-(-len(text) // 8) * 8, "0")
    return list(int(padded, 2).to_bytes(len(padded) // 8, "big"))


@dataclass(frozen=True)
class Thing:
    """Connected pixels of one class."""

    class_id: int
    size: Size  # of the image
    box: tuple[int, int, int, int]  # left, top, width, height
    within: Shape  # its pixels within the box
    polygon: Polygon | None  # None where it has holes, which no single polygon can say

    @property
    def area(self) -> int:
        """How many pixels it has."""
        return int(self.within.sum())

    @property
    def shape(self) -> Shape:
        """Its pixels in the whole image."""
        shape, (left, top, width, height) = np.zeros(self.size, np.bool_), self.box
        shape[top : top + height, left : left + width] = self.within
        return shape


def find_things(labels: LabelMap, *, tolerance: float) -> Iterator[Thing]:
    """What is labelled, thing by thing: pixels of a class that touch along their sides.

    tolerance: so many pixels may polygons be off, which then have fewer corners; 0 keeps every pixel.
    """
    for class_id in sorted({int(one) for one in np.unique(labels)} - {BACKGROUND, IGNORE}):
        count, numbers, stats, _ = cv2.connectedComponentsWithStats((labels == class_id).astype(np.uint8), connectivity=4)
        for number in range(1, count):
            left, top, width, height = (int(one) for one in stats[number][:4])
            within = numbers[top : top + height, left : left + width] == number
            borders = trace_borders(within)
            polygon = [(x + left, y + top) for x, y in _simplify(borders[0], tolerance)] if len(borders) == 1 else None
            yield Thing(class_id, (labels.shape[0], labels.shape[1]), (left, top, width, height), within, polygon)


def trace_borders(shape: Shape) -> list[Polygon]:
    """Borders of connected pixels, clockwise around them and the other way around holes, along the lines between pixels.

    Pixels that touch at a corner alone are not connected by it.
    """
    padded = np.pad(shape, 1)
    inside = padded[1:-1, 1:-1]
    edges: set[tuple[int, int, int]] = set()  # where one begins, and its direction, with pixels on the right
    for direction, outside, (right, down) in (
        (0, padded[:-2, 1:-1], (0, 0)),
        (1, padded[1:-1, 2:], (1, 0)),
        (2, padded[2:, 1:-1], (1, 1)),
        (3, padded[1:-1, :-2], (0, 1)),
    ):
        edges |= {(int(x) + right, int(y) + down, direction) for y, x in np.argwhere(inside & ~outside)}
    borders: list[Polygon] = []
    while edges:
        first = min(edges, key=lambda edge: (edge[1], edge[0], edge[2]))
        edges.discard(first)
        (x, y, direction), border = first, [first[:2]]
        while True:
            x, y = x + STEPS[direction][0], y + STEPS[direction][1]
            turned = next((turn % 4 for turn in (direction + 1, direction, direction + 3) if (x, y, turn % 4) in edges), None)
            if turned is None:
                break
            edges.discard((x, y, turned))
            if turned != direction:
                border.append((x, y))
            direction = turned
        borders.append(border)
    return borders


def _simplify(border: Polygon, tolerance: float) -> Polygon:
    if tolerance <= 0:
        return border
    fewer = cv2.approxPolyDP(np.array(border, np.int32)[:, None], tolerance, True)[:, 0]
    return [(int(x), int(y)) for x, y in fewer] if len(fewer) > 2 else border
