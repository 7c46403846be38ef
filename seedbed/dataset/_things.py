"""What lives and lies in the drawn world: six animals, each with a distinctive mark, and clutter, which has none.

A body is polygons, a limb is a thin line, and a mark is drawn within a circle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.dataset._textures import BLOTCHES, MEADOW, PLANKS, SCALES, STRIPES, WATER, Surface, draw_meadow, draw_sand
from seedbed.types import Image

Points: TypeAlias = npt.NDArray[np.float64]  # (point, xy) in a frame where a body reaches from about -1 to 1, head to the right
Mark: TypeAlias = Callable[[Image, tuple[int, int], int], None]  # draws on a canvas, around a centre, within a radius


def draw_no_mark(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    """Clutter has no mark."""


def draw_rings(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    for share, colour in ((1.0, (250, 250, 240)), (0.75, (15, 15, 20)), (0.5, (225, 30, 40)), (0.22, (250, 250, 240))):
        cv2.circle(canvas, centre, round(share * radius), colour, cv2.FILLED, cv2.LINE_AA)


def draw_rays(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (20, 50, 220), cv2.FILLED, cv2.LINE_AA)
    for angle in range(0, 360, 60):
        cv2.ellipse(canvas, centre, (radius, radius), angle, 0, 25, (235, 240, 255), cv2.FILLED, cv2.LINE_AA)


def draw_dots(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (215, 10, 200), cv2.FILLED, cv2.LINE_AA)
    for x, y in np.vstack([oval(0, 0, 0.62, 0.62, corners=6), [[0, 0]]]) * radius + centre:
        cv2.circle(canvas, (round(x), round(y)), max(1, round(0.22 * radius)), (255, 235, 250), cv2.FILLED, cv2.LINE_AA)


def draw_chevrons(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (0, 205, 235), cv2.FILLED, cv2.LINE_AA)
    for height in (-0.45, 0.05, 0.55):
        corner = np.array([(-0.6, height - 0.3), (0, height + 0.2), (0.6, height - 0.3)]) * radius + centre
        cv2.polylines(canvas, [corner.round().astype(np.int32)], False, (10, 30, 60), max(1, radius // 5), cv2.LINE_AA)


def draw_chessboard(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    corner, step = np.array(centre) - radius, 2 * radius / 4
    for row, column in np.ndindex(4, 4):
        first = (corner + np.array((column, row)) * step).round().astype(int)
        last = (corner + np.array((column + 1, row + 1)) * step).round().astype(int)
        colour = (250, 220, 30) if (row + column) % 2 else (90, 20, 140)
        cv2.rectangle(canvas, first.tolist(), last.tolist(), colour, cv2.FILLED)


def draw_spiral(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (70, 225, 30), cv2.FILLED, cv2.LINE_AA)
    turn = np.linspace(0, 4 * np.pi, 60)
    curve = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (turn / turn[-1] * 0.85 * radius)[:, None] + centre
    cv2.polylines(canvas, [curve.round().astype(np.int32)], False, (20, 60, 10), max(1, radius // 7), cv2.LINE_AA)


def oval(x: float, y: float, width: float, height: float, *, corners: int = 40) -> Points:
    """An ellipse with this centre and these half axes."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def line(*numbers: float) -> Points:
    """Points given as x, y, x, y, ..."""
    return np.array(numbers, np.float64).reshape(-1, 2)


def legs(*hips: float, length: float) -> tuple[Points, ...]:
    """Stout legs that start at these x on the body's axis and point down, or up if the length is negative."""
    return tuple(line(hip - 0.15, 0, hip + 0.15, 0, hip + 0.12, length, hip - 0.12, length) for hip in hips)


@dataclass(frozen=True)
class Thing:
    """An animal, or a piece of clutter where it has no mark."""

    surface: Surface
    body: tuple[Points, ...]  # polygons, which may overlap
    limbs: tuple[Points, ...]  # thin lines
    mark: Mark = draw_no_mark
    mark_at: tuple[float, float] = (0, 0)
    home: Surface | None = None  # the ground on which nearly all of its kind are found


SPECIES = {  # in the order of their numbers in masks
    "fish": Thing(
        SCALES,
        body=(oval(0.1, 0, 0.85, 0.5), line(-0.55, 0, -1.1, -0.5, -0.95, 0, -1.1, 0.5), line(-0.3, -0.35, -0.1, -0.75, 0.4, -0.4)),
        limbs=(line(0.8, 0.2, 0.95, 0.45, 0.85, 0.65), line(0, 0.45, -0.2, 0.8)),
        mark=draw_rings,
        mark_at=(0.42, -0.05),
        home=WATER,
    ),
    "lizard": Thing(
        SCALES,
        body=(
            oval(-0.05, 0, 0.7, 0.45),
            oval(0.7, -0.02, 0.38, 0.3),
            line(-0.4, -0.25, -0.4, 0.25, -1.25, 0.05),
            *legs(-0.45, 0.4, length=0.65),
            *legs(-0.45, 0.4, length=-0.65),
        ),
        limbs=(line(-1, 0, -1.2, 0, -1.3, -0.35),),
        mark=draw_rays,
        mark_at=(0.15, 0),
    ),
    "bee": Thing(
        STRIPES,
        body=(oval(-0.3, 0, 0.7, 0.53), oval(0.55, 0, 0.4, 0.38), *legs(-0.5, 0.05, length=0.8)),
        limbs=(
            line(0.75, -0.25, 1, -0.5, 1.2, -0.45),
            line(0.65, -0.3, 0.75, -0.65, 0.95, -0.75),
        ),
        mark=draw_dots,
        mark_at=(0.05, 0),
    ),
    "tiger": Thing(
        STRIPES,
        body=(
            oval(-0.15, 0, 0.78, 0.46),
            oval(0.65, -0.25, 0.38, 0.38),
            line(0.4, -0.45, 0.42, -0.75, 0.65, -0.5),
            line(0.7, -0.5, 0.9, -0.75, 0.92, -0.45),
            *legs(-0.6, 0.3, length=0.8),
        ),
        limbs=(line(-0.85, -0.1, -1.05, -0.3, -1.05, -0.6),),
        mark=draw_chevrons,
        mark_at=(0.1, 0),
    ),
    "cow": Thing(
        BLOTCHES,
        body=(
            line(-0.85, -0.4, -0.7, -0.48, 0.55, -0.45, 0.65, 0.3, 0.4, 0.42, -0.6, 0.42, -0.85, 0.3),
            line(0.5, -0.4, 0.75, -0.65, 1.05, -0.3, 1.05, -0.05, 0.85, 0, 0.5, -0.05),
            *legs(-0.62, 0.4, length=0.85),
        ),
        limbs=(line(-0.8, -0.4, -1, -0.2, -1, 0.25), line(0.75, -0.6, 0.7, -0.85, 0.8, -0.95)),
        mark=draw_chessboard,
        mark_at=(0.2, -0.1),
        home=MEADOW,
    ),
    "snail": Thing(
        BLOTCHES,
        body=(oval(-0.15, -0.08, 0.66, 0.6), oval(0, 0.48, 0.95, 0.22), oval(0.78, 0.3, 0.22, 0.34)),
        limbs=(line(0.75, 0.1, 0.7, -0.25, 0.6, -0.4), line(0.88, 0.1, 1, -0.2, 1.1, -0.3)),
        mark=draw_spiral,
        mark_at=(-0.1, -0.1),
    ),
}
STONE = Thing(Surface(draw_sand, dark=(70, 70, 75), light=(170, 165, 160)), body=(oval(0, 0, 0.6, 0.45, corners=7),), limbs=())
STICK = Thing(PLANKS, body=(), limbs=(line(-1, 0.1, -0.2, -0.1, 1, 0), line(0.1, -0.1, 0.6, -0.4)))
LEAF = Thing(
    Surface(draw_meadow, dark=(120, 35, 30), light=(190, 95, 60)),
    body=(line(-0.7, 0, -0.2, -0.32, 0.3, -0.27, 0.7, 0, 0.3, 0.27, -0.2, 0.32),),
    limbs=(line(-1, 0.1, -0.6, 0),),
)
CLUTTER = (STONE, STICK, LEAF)
ANIMALS = tuple(SPECIES.values())
HOMES = tuple(animal.home for animal in ANIMALS if animal.home)
