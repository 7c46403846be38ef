"""Textures of the drawn world: what covers the ground, and what covers animals.

A pattern of brightness between 0 and 1 is drawn first, and coloured from dark to light.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import Size

Generator: TypeAlias = np.random.Generator
Map: TypeAlias = npt.NDArray[np.float64]  # (y, x), or (y, x, rgb) where it is called a picture
Colour: TypeAlias = tuple[int, int, int]


def draw_noise(generator: Generator, size: Size, *, tall: float, wide: float) -> Map:
    """Smooth noise around 0, whose spots have the given height and width as fractions of the shorter side."""
    rows, columns = (max(2, round(side / (spot * min(size)))) for side, spot in zip(size, (tall, wide), strict=True))
    coarse = generator.standard_normal((rows, columns))
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.float64)


def draw_water(generator: Generator, size: Size) -> Map:
    y, _ = np.indices(size) / min(size)
    waves = np.sin(55 * y + 2.5 * draw_noise(generator, size, tall=0.15, wide=0.25))
    return np.asarray(0.4 + 0.2 * waves + 0.2 * draw_noise(generator, size, tall=0.04, wide=0.2), np.float64)


def draw_meadow(generator: Generator, size: Size) -> Map:
    blades = draw_noise(generator, size, tall=0.1, wide=0.02)
    return 0.45 + 0.25 * blades + 0.15 * draw_noise(generator, size, tall=0.3, wide=0.3)


def draw_sand(generator: Generator, size: Size) -> Map:
    grains = draw_noise(generator, size, tall=0.015, wide=0.015)
    return 0.5 + 0.12 * grains + 0.2 * draw_noise(generator, size, tall=0.12, wide=0.5)


def draw_pebbles(generator: Generator, size: Size) -> Map:
    """Cells around random points, each of its own brightness and dark at its border."""
    points = np.ones(size, np.uint8)
    count = round(110 * max(size) / min(size))
    points[generator.integers(size[0], size=count), generator.integers(size[1], size=count)] = 0
    distance, cell = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    brightness = generator.random(count + 1)[np.asarray(cell, np.int64)]
    return 0.5 + 0.7 * brightness - 5 / min(size) * np.asarray(distance, np.float64)


def draw_planks(generator: Generator, size: Size) -> Map:
    y, _ = np.indices(size) / min(size)
    grain = draw_noise(generator, size, tall=0.015, wide=0.4) + draw_noise(generator, size, tall=0.08, wide=0.8)
    joints = (5 * y + generator.random()) % 1 < 0.07
    return np.where(joints, 0.0, 0.55 + 0.2 * grain)


def draw_scales(generator: Generator, size: Size) -> Map:
    """Overlapping discs in rows, each dark at its edge."""
    y, x = np.indices(size) / min(size)
    row = np.floor(13 * y)
    from_centre = np.hypot((13 * y) % 1, (10 * x + 0.5 * (row % 2)) % 1 - 0.5)
    return np.asarray(1 - from_centre + 0.1 * draw_noise(generator, size, tall=0.1, wide=0.1), np.float64)


def draw_stripes(generator: Generator, size: Size) -> Map:
    _, x = np.indices(size) / min(size)
    return np.asarray(0.5 + 0.9 * np.sin(38 * x + 1.2 * draw_noise(generator, size, tall=0.12, wide=0.12)), np.float64)


def draw_blotches(generator: Generator, size: Size) -> Map:
    return 0.5 + 2 * draw_noise(generator, size, tall=0.11, wide=0.11)


@dataclass(frozen=True)
class Surface:
    """A texture in its colours."""

    pattern: Callable[[Generator, Size], Map]
    dark: Colour
    light: Colour

    def paint(self, generator: Generator, size: Size) -> Map:
        amount = self.pattern(generator, size).clip(0, 1)[..., None]
        dark, light = np.array([self.dark, self.light]) + generator.normal(0, 10, (2, 3))
        return np.asarray((dark + (light - dark) * amount).clip(0, 255), np.float64)


WATER = Surface(draw_water, dark=(30, 70, 110), light=(150, 195, 215))
MEADOW = Surface(draw_meadow, dark=(35, 75, 25), light=(150, 180, 80))
SAND = Surface(draw_sand, dark=(160, 135, 100), light=(225, 208, 175))
PEBBLES = Surface(draw_pebbles, dark=(70, 70, 75), light=(170, 167, 163))
PLANKS = Surface(draw_planks, dark=(80, 58, 40), light=(170, 132, 95))
SCALES = Surface(draw_scales, dark=(10, 75, 65), light=(125, 230, 165))
STRIPES = Surface(draw_stripes, dark=(30, 20, 15), light=(250, 160, 30))
BLOTCHES = Surface(draw_blotches, dark=(85, 20, 75), light=(255, 205, 220))
GROUNDS = (SAND, PEBBLES, PLANKS)  # for images in which no animal is at home
