"""Draws one image of the drawn world: who is in it, what lies over what, and how a camera sees it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.dataset._textures import GROUNDS, Generator, Map, Surface, draw_noise
from seedbed.dataset._things import ANIMALS, CLUTTER, HOMES, Points, Thing, draw_no_mark, line
from seedbed.types import BACKGROUND, Image, LabelMap, Size

Visible: TypeAlias = npt.NDArray[np.bool_]  # (y, x)
ThingMap: TypeAlias = npt.NDArray[np.uint8]  # (y, x)

CANVAS = 3.0  # side of the square on which a thing is drawn, in units of its frame
OVERSAMPLING = 2  # canvas pixels per image pixel
EXTENT = (0.65, 1.05)  # range of a body's length, as a share of the image's shorter side; bodies are about half as high
CLUTTER_EXTENT = (0.3, 0.6)  # the same for clutter
LIMB_THICKNESS = 0.14  # in units of a thing's frame
MARK_RADIUS = 0.28  # in units of a thing's frame
MIN_PIXELS = 80  # an animal is only placed where at least so much of every animal stays visible,
MIN_BODY = 0.75  # so large a share of its body,
MIN_MARK = 0.8  # and so large a share of its mark
NUM_ATTEMPTS = 20  # to find such a place for a thing; after that it is left out
AT_HOME = 0.9  # share of images with a home that show it
STRAY = 0.1  # share of the other images that show some animal's home all the same


@dataclass(frozen=True)
class Outline:
    """A thing before it is painted: upright on its own canvas, and larger than it will be in the image."""

    thing: Thing
    unit: float  # canvas pixels per unit of its frame
    opacity: npt.NDArray[np.uint8]  # (y, x) of the canvas
    mark_at: tuple[int, int]  # x and y on the canvas

    @property
    def radius(self) -> int:
        """Radius of the mark, in canvas pixels."""
        return round(MARK_RADIUS * self.unit)

    def paint(self, generator: Generator) -> Image:
        """The canvas in colour, beyond the outline too."""
        rounded = (cv2.distanceTransform(self.opacity, cv2.DIST_L2, 5) / (0.3 * self.unit)).clip(0, 1)  # darker towards the outline
        canvas = (self.thing.surface.paint(generator, self.opacity.shape) * (0.6 + 0.5 * rounded[..., None])).clip(0, 255).astype(np.uint8)
        self.thing.mark(canvas, self.mark_at, self.radius)
        return canvas


@dataclass(frozen=True)
class Cutout:
    """A thing in its place in an image, and which of its pixels are visible."""

    outline: Outline
    to_place: npt.NDArray[np.float64]  # affine map from canvas to image
    opacity: Map
    body: Visible
    mark: Visible
    body_size: float  # pixels of the whole body, hidden ones and those outside the image included
    mark_size: float  # the same for the mark

    def hide_behind(self, other: Cutout) -> Cutout:
        return dataclasses.replace(self, body=self.body & ~other.body, mark=self.mark & ~other.body)

    def is_recognisable(self) -> bool:
        body, mark = self.body.sum(), self.mark.sum()
        return bool(body >= max(MIN_PIXELS, MIN_BODY * self.body_size) and mark >= MIN_MARK * self.mark_size)


def draw_image(generator: Generator, *, min_side: int, max_side: int) -> tuple[Image, LabelMap, ThingMap]:
    """An image of the world, the class of each of its pixels, and which animal it is of, by number: from 1, and 0 is of none."""
    height, width = (int(side) for side in generator.choice(np.arange(min_side, max_side + 1), size=2, replace=False))
    cast = choose_cast(generator)
    picture = choose_ground(generator, cast).paint(generator, (height, width))
    mask, numbers = np.full((height, width), BACKGROUND, np.uint8), np.zeros((height, width), np.uint8)
    animals: list[Cutout] = []
    clutter = [BACKGROUND] * int(generator.integers(1, 3))
    for number in generator.permutation(cast + clutter):  # later things lie over earlier ones
        is_clutter = number == BACKGROUND
        thing = CLUTTER[generator.integers(len(CLUTTER))] if is_clutter else ANIMALS[number - 1]
        for _ in range(NUM_ATTEMPTS):
            cutout = cut_out(generator, thing, (height, width))
            in_view = [animal.hide_behind(cutout) for animal in animals] + ([] if is_clutter else [cutout])
            if all(animal.is_recognisable() for animal in in_view):
                animals = in_view
                picture = paste(generator, picture, cutout)
                mask[cutout.body] = number
                numbers[cutout.body] = 0 if is_clutter else len(animals)
                break
    return photograph(generator, picture), mask, numbers


def choose_cast(generator: Generator) -> list[int]:
    """Choose one to three animals, by number. Two with different homes never meet: only one of them could be at home."""
    chances = np.array([1.3 if animal.home else 1 for animal in ANIMALS])  # makes up for the pairs that are not allowed
    while True:
        count = generator.choice([1, 2, 3], p=[0.5, 0.38, 0.12])
        cast = generator.choice(len(ANIMALS), size=count, replace=False, p=chances / chances.sum())
        if sum(ANIMALS[index].home is not None for index in cast) <= 1:
            second = cast[:1] if count < 3 and generator.random() < 0.2 else cast[:0]  # another one of the same kind
            return [int(index) + 1 for index in (*cast, *second)]


def choose_ground(generator: Generator, cast: list[int]) -> Surface:
    homes = [home for number in cast if (home := ANIMALS[number - 1].home)]
    if homes and generator.random() < AT_HOME:
        return homes[0]
    grounds = HOMES if not homes and generator.random() < STRAY else GROUNDS
    return grounds[generator.integers(len(grounds))]


def draw_outline(generator: Generator, thing: Thing, size: Size) -> Outline:
    """Draw the outline of a thing with a random size, bend and plumpness."""
    extent = EXTENT if thing.mark is not draw_no_mark else CLUTTER_EXTENT
    unit = OVERSAMPLING * generator.uniform(*extent) * min(size) / 2
    side = round(CANVAS * unit)
    bend, plumpness = generator.normal(0, 0.1), generator.uniform(0.9, 1.15)

    def on_canvas(points: Points) -> npt.NDArray[np.int32]:
        bent = np.stack([points[:, 0], plumpness * points[:, 1] + bend * points[:, 0] ** 2], axis=1)
        return np.asarray((bent * unit + side / 2).round(), np.int32)

    opacity = np.zeros((side, side), np.uint8)
    for polygon in thing.body:
        cv2.fillPoly(opacity, [on_canvas(polygon)], 255, cv2.LINE_AA)
    for limb in thing.limbs:
        bent_limb = on_canvas(limb + generator.normal(0, 0.03, limb.shape))
        cv2.polylines(opacity, [bent_limb], False, 255, max(OVERSAMPLING, round(LIMB_THICKNESS * unit)), cv2.LINE_AA)
    x, y = on_canvas(line(*thing.mark_at))[0].tolist()
    return Outline(thing, unit, opacity, mark_at=(x, y))


def cut_out(generator: Generator, thing: Thing, size: Size) -> Cutout:
    """Draw a thing's outline, then shrink, rotate and move it to a random place."""
    outline = draw_outline(generator, thing, size)
    mark = cv2.circle(np.zeros_like(outline.opacity), outline.mark_at, outline.radius, 255, cv2.FILLED)
    to_place = draw_placement(generator, len(mark), size)
    shown, mark_shown = (cv2.warpAffine(layer, to_place, size[::-1]) for layer in (outline.opacity, mark))
    body_size, mark_size = (float((layer > 127).sum()) / OVERSAMPLING**2 for layer in (outline.opacity, mark))
    opacity = np.asarray(shown / 255, np.float64)
    return Cutout(outline, to_place, opacity, body=shown > 127, mark=mark_shown > 127, body_size=body_size, mark_size=mark_size)


def draw_placement(generator: Generator, side: int, size: Size) -> npt.NDArray[np.float64]:
    """A random affine map from canvas to image: rotation, flip and shift."""
    turn = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), generator.uniform(-75, 75), 1 / OVERSAMPLING), np.float64)
    if generator.random() < 0.5:
        turn = turn @ np.array([[-1, 0, side], [0, 1, 0], [0, 0, 1]])
    centre = generator.uniform(0.2, 0.8, 2) * size[::-1]
    turn[:, 2] += centre - side / 2
    return turn


def paste(generator: Generator, picture: Map, cutout: Cutout) -> Map:
    """Paint a thing and lay it over a picture, with a soft shadow around it."""
    painted = cv2.warpAffine(cutout.outline.paint(generator), cutout.to_place, picture.shape[1::-1])
    shadow = np.asarray(cv2.GaussianBlur(cutout.opacity, (0, 0), 3), np.float64)[..., None]
    opacity = cutout.opacity[..., None]
    return picture * (1 - 0.45 * shadow) * (1 - opacity) + painted * opacity


def photograph(generator: Generator, picture: Map) -> Image:
    """Add uneven light and its colour, a lens that is not quite sharp, and sensor noise."""
    light = 1 + 0.15 * draw_noise(generator, picture.shape[:2], tall=0.8, wide=0.8)[..., None] + generator.normal(0, 0.08, 3)
    sharp = cv2.GaussianBlur(picture * light, (0, 0), generator.uniform(0.4, 0.8))
    return np.asarray((sharp + generator.normal(0, generator.uniform(2, 6), picture.shape)).clip(0, 255).round(), np.uint8)
