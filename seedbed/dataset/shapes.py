"""A drawn world of animals that comes with the code, so that everything can be tried without downloading anything.

It is weakly supervised segmentation in miniature, with its difficulties on purpose. Every animal has one small part that no other
has (an eye, a spiral, a tag) on a large body whose texture it shares with another animal, so a classifier's class maps cover too
little. Fish nearly always swim in water and cows nearly always stand in a meadow, so class maps cover too much. Animals differ in
size, are turned, hide each other, have thin tails and antennae, and lie among stones, sticks and leaves, which belong to no class.
How hard it is was calibrated once and is frozen since; docs/world.md has the figures. The raw folder is drawn when it is not there
yet; its layout is that of the method `folder`.

Paper: none; the world is our own.

Differs from the paper: not applicable.
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from pydantic import Field, model_validator

from seedbed import dataset
from seedbed.dataset import Index, Preview, class_colours
from seedbed.dataset.folder import COLUMNS, Folder
from seedbed.errors import DataError, join_names
from seedbed.methods import method
from seedbed.store import raw
from seedbed.types import BACKGROUND, Image, LabelMap, Size

DRAWING_VERSION = 3  # raise it with every change of what is drawn, so that worlds on disk are drawn again
SPLITS = ("train", "val")
FOLDERS = ("images", "masks")
RECORD = "world.json"
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)  # how systems say that one may not write,
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)  # and that something else lies there

Count = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=64, le=1024)]

Generator: TypeAlias = np.random.Generator
Map: TypeAlias = npt.NDArray[np.float64]  # (y, x), or (y, x, rgb) where it is called a picture
Shown: TypeAlias = npt.NDArray[np.bool_]  # (y, x)
Points: TypeAlias = npt.NDArray[np.float64]  # (point, xy) in a frame where a body reaches from about -1 to 1, head to the right
Colour: TypeAlias = tuple[int, int, int]


@method
class Shapes(dataset.Method):
    num_train: Count  # images of the split train
    num_val: Count  # images of the split val
    seed: Seed  # another seed is another world
    min_side: Side  # heights and widths are drawn evenly from min_side..max_side, never the same twice in an image
    max_side: Side  # see min_side, which must be smaller

    @model_validator(mode="after")
    def _sides_in_order(self) -> Self:
        if self.min_side >= self.max_side:
            raise ValueError(f"max_side above min_side, which is {self.min_side}")
        return self

    def read(self, root: Path) -> Index:
        if not self._is_drawn(root):
            _refuse_foreign(root)
            try:
                self._draw(Path(os.path.realpath(root)))
            except OSError as error:
                if error.errno not in (*REFUSED, *IN_THE_WAY):
                    raise
                found = f"that nothing can be written to {error.filename}: {error.strerror}"
                raise DataError(str(root), found=found, expected="room for the drawn world", do="see who may write there") from error
        return Folder(classes=tuple(SPECIES), complete=True).read(root)

    def preview(self, root: Path) -> Preview:
        _refuse_foreign(root)
        return Preview(tuple(SPECIES), dict.fromkeys(SPLITS, True), self.num_train + self.num_val)

    def _record(self, root: Path) -> bytes:
        """What the file world.json says when this very world lies in a folder."""
        record = {"drawing_version": DRAWING_VERSION, "parameters": dataclasses.asdict(self), "sha256": _digest(root)}
        return (json.dumps(record, indent=2) + "\n").encode()

    def _is_drawn(self, root: Path) -> bool:
        record = root / RECORD
        return raw.kind(record) == raw.FILE and raw.read(record) == self._record(root)

    def _draw(self, root: Path) -> None:
        drawing = root.with_name(f"{root.name}.drawing")
        shutil.rmtree(drawing, ignore_errors=True)
        for folder in FOLDERS:
            (drawing / folder).mkdir(parents=True)
        with (drawing / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            for name, split, generator in self._images():
                image, mask = draw_image(generator, min_side=self.min_side, max_side=self.max_side)
                _write_png(drawing / "images" / name, image[..., ::-1])
                _write_mask(drawing / "masks" / name, mask)
                labels = [species for number, species in enumerate(SPECIES, start=1) if (mask == number).any()]
                table.writerow([name, " ".join(labels), split])
        (drawing / RECORD).write_bytes(self._record(drawing))
        # The record goes first: from then on the folder is known to be ours, and its digest fails until the last file is there.
        root.mkdir(parents=True, exist_ok=True)
        shutil.move(drawing / RECORD, root / RECORD)
        for file in _drawn_files(root):
            file.unlink()
        for file in _drawn_files(drawing):
            target = root / file.relative_to(drawing)
            target.parent.mkdir(exist_ok=True)
            shutil.move(file, target)
        shutil.rmtree(drawing)

    def _images(self) -> Iterator[tuple[str, str, Generator]]:
        """File name, split and source of chance of every image; none depends on how many there are."""
        for split_index, (split, count) in enumerate(zip(SPLITS, (self.num_train, self.num_val), strict=True)):
            for index in range(count):
                yield f"{split}_{index:04d}.png", split, np.random.default_rng([self.seed, split_index, index])


def _drawn_files(root: Path) -> list[Path]:
    """What we wrote, by name; all else in the folder is the user's."""
    patterns = ["labels.csv", *(f"{folder}/{split}_[0-9]*.png" for folder in FOLDERS for split in SPLITS)]
    return sorted(file for pattern in patterns for file in root.glob(pattern))


def _digest(root: Path) -> str:
    total = hashlib.sha256()
    for file in _drawn_files(root):
        total.update(f"{file.relative_to(root).as_posix()} {hashlib.sha256(raw.read(file)).hexdigest()}\n".encode())
    return total.hexdigest()


def _refuse_foreign(root: Path) -> None:
    """Keep a data set that somebody else put there from being mixed with ours."""
    found = raw.kind(root)
    if found in (raw.NOTHING, raw.DANGLING) or raw.kind(root / RECORD) == raw.FILE:
        return
    foreign = sorted(path.name for path in raw.matching(root, "*") if path.name != ".gitignore") if found == raw.FOLDER else [found]
    if foreign:
        raise DataError(
            str(root),
            found=f"files that are not a drawn world: {join_names(foreign[:5])}",
            expected=f"an empty folder, or one with a {RECORD}",
            do="set dataset.root to another folder, or choose the dataset method that reads these files",
        )


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _write_mask(path: Path, mask: LabelMap) -> None:
    """Classes as palette entries, so that a viewer shows them in colour."""
    picture = PillowImage.frombytes("P", mask.shape[::-1], mask.tobytes())
    picture.putpalette([0, 0, 0, *(level for colour in class_colours(len(SPECIES)) for level in colour)])
    picture.save(path)


# --- Textures: a pattern between 0 and 1, coloured from dark to light ---


def noise(generator: Generator, size: Size, *, tall: float, wide: float) -> Map:
    """Smooth noise around 0 with spots of the given size, in fractions of the shorter side."""
    rows, columns = (max(2, round(side / (spot * min(size)))) for side, spot in zip(size, (tall, wide), strict=True))
    coarse = generator.standard_normal((rows, columns))
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.float64)


def water(generator: Generator, size: Size) -> Map:
    y, _ = np.indices(size) / min(size)
    waves = np.sin(55 * y + 2.5 * noise(generator, size, tall=0.15, wide=0.25))
    return np.asarray(0.4 + 0.2 * waves + 0.2 * noise(generator, size, tall=0.04, wide=0.2), np.float64)


def meadow(generator: Generator, size: Size) -> Map:
    blades = noise(generator, size, tall=0.1, wide=0.02)
    return 0.45 + 0.25 * blades + 0.15 * noise(generator, size, tall=0.3, wide=0.3)


def sand(generator: Generator, size: Size) -> Map:
    grains = noise(generator, size, tall=0.015, wide=0.015)
    return 0.5 + 0.12 * grains + 0.2 * noise(generator, size, tall=0.12, wide=0.5)


def pebbles(generator: Generator, size: Size) -> Map:
    """Cells around random points, each of its own brightness and dark at its border."""
    points = np.ones(size, np.uint8)
    count = round(110 * max(size) / min(size))
    points[generator.integers(size[0], size=count), generator.integers(size[1], size=count)] = 0
    distance, cell = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    brightness = generator.random(count + 1)[np.asarray(cell, np.int64)]
    return 0.5 + 0.7 * brightness - 5 / min(size) * np.asarray(distance, np.float64)


def planks(generator: Generator, size: Size) -> Map:
    y, _ = np.indices(size) / min(size)
    grain = noise(generator, size, tall=0.015, wide=0.4) + noise(generator, size, tall=0.08, wide=0.8)
    joints = (5 * y + generator.random()) % 1 < 0.07
    return np.where(joints, 0.0, 0.55 + 0.2 * grain)


def scales(generator: Generator, size: Size) -> Map:
    """Overlapping discs in rows, each dark at its edge."""
    y, x = np.indices(size) / min(size)
    row = np.floor(13 * y)
    from_centre = np.hypot((13 * y) % 1, (10 * x + 0.5 * (row % 2)) % 1 - 0.5)
    return np.asarray(1 - from_centre + 0.1 * noise(generator, size, tall=0.1, wide=0.1), np.float64)


def stripes(generator: Generator, size: Size) -> Map:
    _, x = np.indices(size) / min(size)
    return np.asarray(0.5 + 0.9 * np.sin(38 * x + 1.2 * noise(generator, size, tall=0.12, wide=0.12)), np.float64)


def blotches(generator: Generator, size: Size) -> Map:
    return 0.5 + 2 * noise(generator, size, tall=0.11, wide=0.11)


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


WATER = Surface(water, dark=(30, 70, 110), light=(150, 195, 215))
MEADOW = Surface(meadow, dark=(35, 75, 25), light=(150, 180, 80))
SAND = Surface(sand, dark=(160, 135, 100), light=(225, 208, 175))
PEBBLES = Surface(pebbles, dark=(70, 70, 75), light=(170, 167, 163))
PLANKS = Surface(planks, dark=(80, 58, 40), light=(170, 132, 95))
SCALES = Surface(scales, dark=(10, 75, 65), light=(125, 230, 165))
STRIPES = Surface(stripes, dark=(30, 20, 15), light=(250, 160, 30))
BLOTCHES = Surface(blotches, dark=(85, 20, 75), light=(255, 205, 220))
GROUNDS = (SAND, PEBBLES, PLANKS)  # where animals are that are not at home


# --- Parts: what tells an animal from all others, drawn inside a circle ---


Part: TypeAlias = Callable[[Image, tuple[int, int], int], None]  # draws on a canvas, around a centre, within a radius


def no_part(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    """What clutter has."""


def rings(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    for share, colour in ((1.0, (250, 250, 240)), (0.75, (15, 15, 20)), (0.5, (225, 30, 40)), (0.22, (250, 250, 240))):
        cv2.circle(canvas, centre, round(share * radius), colour, cv2.FILLED, cv2.LINE_AA)


def rays(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (20, 50, 220), cv2.FILLED, cv2.LINE_AA)
    for angle in range(0, 360, 60):
        cv2.ellipse(canvas, centre, (radius, radius), angle, 0, 25, (235, 240, 255), cv2.FILLED, cv2.LINE_AA)


def dots(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (215, 10, 200), cv2.FILLED, cv2.LINE_AA)
    for x, y in np.vstack([oval(0, 0, 0.62, 0.62, corners=6), [[0, 0]]]) * radius + centre:
        cv2.circle(canvas, (round(x), round(y)), max(1, round(0.22 * radius)), (255, 235, 250), cv2.FILLED, cv2.LINE_AA)


def chevrons(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (0, 205, 235), cv2.FILLED, cv2.LINE_AA)
    for height in (-0.45, 0.05, 0.55):
        corner = np.array([(-0.6, height - 0.3), (0, height + 0.2), (0.6, height - 0.3)]) * radius + centre
        cv2.polylines(canvas, [corner.round().astype(np.int32)], False, (10, 30, 60), max(1, radius // 5), cv2.LINE_AA)


def checks(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    corner, step = np.array(centre) - radius, 2 * radius / 4
    for row, column in np.ndindex(4, 4):
        first = (corner + np.array((column, row)) * step).round().astype(int)
        last = (corner + np.array((column + 1, row + 1)) * step).round().astype(int)
        colour = (250, 220, 30) if (row + column) % 2 else (90, 20, 140)
        cv2.rectangle(canvas, first.tolist(), last.tolist(), colour, cv2.FILLED)


def spiral(canvas: Image, centre: tuple[int, int], radius: int) -> None:
    cv2.circle(canvas, centre, radius, (70, 225, 30), cv2.FILLED, cv2.LINE_AA)
    turn = np.linspace(0, 4 * np.pi, 60)
    curve = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (turn / turn[-1] * 0.85 * radius)[:, None] + centre
    cv2.polylines(canvas, [curve.round().astype(np.int32)], False, (20, 60, 10), max(1, radius // 7), cv2.LINE_AA)


# --- Who lives in this world ---


def oval(x: float, y: float, width: float, height: float, *, corners: int = 40) -> Points:
    """An ellipse by its centre and half axes."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def line(*numbers: float) -> Points:
    """Points from x, y, x, y, ..."""
    return np.array(numbers, np.float64).reshape(-1, 2)


def legs(*hips: float, length: float) -> tuple[Points, ...]:
    """Stout legs from these x on the body's axis, down, or up where the length is negative."""
    return tuple(line(hip - 0.15, 0, hip + 0.15, 0, hip + 0.12, length, hip - 0.12, length) for hip in hips)


@dataclass(frozen=True)
class Thing:
    """An animal, or a piece of clutter where it has no part."""

    surface: Surface
    body: tuple[Points, ...]  # polygons, which may overlap
    limbs: tuple[Points, ...]  # thin lines
    part: Part = no_part
    part_at: tuple[float, float] = (0, 0)
    home: Surface | None = None  # the ground where nearly all of its kind are


SPECIES = {  # in the order of their numbers in masks
    "fish": Thing(
        SCALES,
        body=(oval(0.1, 0, 0.85, 0.5), line(-0.55, 0, -1.1, -0.5, -0.95, 0, -1.1, 0.5), line(-0.3, -0.35, -0.1, -0.75, 0.4, -0.4)),
        limbs=(line(0.8, 0.2, 0.95, 0.45, 0.85, 0.65), line(0, 0.45, -0.2, 0.8)),
        part=rings,
        part_at=(0.42, -0.05),
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
        part=rays,
        part_at=(0.15, 0),
    ),
    "bee": Thing(
        STRIPES,
        body=(oval(-0.3, 0, 0.7, 0.53), oval(0.55, 0, 0.4, 0.38), *legs(-0.5, 0.05, length=0.8)),
        limbs=(
            line(0.75, -0.25, 1, -0.5, 1.2, -0.45),
            line(0.65, -0.3, 0.75, -0.65, 0.95, -0.75),
        ),
        part=dots,
        part_at=(0.05, 0),
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
        part=chevrons,
        part_at=(0.1, 0),
    ),
    "cow": Thing(
        BLOTCHES,
        body=(
            line(-0.85, -0.4, -0.7, -0.48, 0.55, -0.45, 0.65, 0.3, 0.4, 0.42, -0.6, 0.42, -0.85, 0.3),
            line(0.5, -0.4, 0.75, -0.65, 1.05, -0.3, 1.05, -0.05, 0.85, 0, 0.5, -0.05),
            *legs(-0.62, 0.4, length=0.85),
        ),
        limbs=(line(-0.8, -0.4, -1, -0.2, -1, 0.25), line(0.75, -0.6, 0.7, -0.85, 0.8, -0.95)),
        part=checks,
        part_at=(0.2, -0.1),
        home=MEADOW,
    ),
    "snail": Thing(
        BLOTCHES,
        body=(oval(-0.15, -0.08, 0.66, 0.6), oval(0, 0.48, 0.95, 0.22), oval(0.78, 0.3, 0.22, 0.34)),
        limbs=(line(0.75, 0.1, 0.7, -0.25, 0.6, -0.4), line(0.88, 0.1, 1, -0.2, 1.1, -0.3)),
        part=spiral,
        part_at=(-0.1, -0.1),
    ),
}
STONE = Thing(Surface(sand, dark=(70, 70, 75), light=(170, 165, 160)), body=(oval(0, 0, 0.6, 0.45, corners=7),), limbs=())
STICK = Thing(PLANKS, body=(), limbs=(line(-1, 0.1, -0.2, -0.1, 1, 0), line(0.1, -0.1, 0.6, -0.4)))
LEAF = Thing(
    Surface(meadow, dark=(120, 35, 30), light=(190, 95, 60)),
    body=(line(-0.7, 0, -0.2, -0.32, 0.3, -0.27, 0.7, 0, 0.3, 0.27, -0.2, 0.32),),
    limbs=(line(-1, 0.1, -0.6, 0),),
)
CLUTTER = (STONE, STICK, LEAF)
ANIMALS = tuple(SPECIES.values())
HOMES = tuple(animal.home for animal in ANIMALS if animal.home)


# --- One image ---

CANVAS = 3.0  # side of the square on which a thing is drawn, in units of its frame
OVERSAMPLING = 2  # canvas pixels per image pixel
EXTENT = (0.65, 1.05)  # length of a body in shorter sides of the image; it is about half as high
CLUTTER_EXTENT = (0.3, 0.6)  # likewise of clutter
LIMB = 0.14  # thickness of a limb in units of its frame
PART = 0.28  # radius of a part, likewise
MIN_PIXELS = 80  # an animal of which less can be seen is not there
MIN_BODY = 0.75  # likewise where less of its body can be seen, as a share
MIN_PART = 0.8  # likewise where less of its part can be seen
NUM_ATTEMPTS = 20  # to find a place for a thing where it hides too much of nobody
AT_HOME = 0.9  # of the animals that have a home
STRAY = 0.1  # of the other images, those on somebody's home ground all the same


@dataclass(frozen=True)
class Outline:
    """A thing that is not painted yet, upright on a canvas of its own and larger than it will be."""

    thing: Thing
    unit: float  # canvas pixels per unit of its frame
    opacity: npt.NDArray[np.uint8]  # (y, x) of the canvas
    part_at: tuple[int, int]  # x and y on the canvas

    @property
    def radius(self) -> int:
        """Of the part, in canvas pixels."""
        return round(PART * self.unit)

    def painted(self, generator: Generator) -> Image:
        """The canvas in colours; what lies beyond the outline is painted too."""
        rounded = (cv2.distanceTransform(self.opacity, cv2.DIST_L2, 5) / (0.3 * self.unit)).clip(0, 1)  # darker towards the outline
        canvas = (self.thing.surface.paint(generator, self.opacity.shape) * (0.6 + 0.5 * rounded[..., None])).clip(0, 255).astype(np.uint8)
        self.thing.part(canvas, self.part_at, self.radius)
        return canvas


@dataclass(frozen=True)
class Cutout:
    """A thing at its place in an image, and what can be seen of it."""

    outline: Outline
    to_place: npt.NDArray[np.float64]  # affine map from canvas to image
    opacity: Map
    body: Shown
    part: Shown
    body_size: float  # pixels of the whole body, inside the image or not
    part_size: float  # likewise of the part

    def behind(self, other: Cutout) -> Cutout:
        return dataclasses.replace(self, body=self.body & ~other.body, part=self.part & ~other.body)

    def recognisable(self) -> bool:
        body, part = self.body.sum(), self.part.sum()
        return bool(body >= max(MIN_PIXELS, MIN_BODY * self.body_size) and part >= MIN_PART * self.part_size)


def draw_image(generator: Generator, *, min_side: int, max_side: int) -> tuple[Image, LabelMap]:
    """An image of the world, and the class of each of its pixels."""
    height, width = (int(side) for side in generator.choice(np.arange(min_side, max_side + 1), size=2, replace=False))
    cast = choose_cast(generator)
    picture = choose_ground(generator, cast).paint(generator, (height, width))
    mask = np.full((height, width), BACKGROUND, np.uint8)
    animals: list[Cutout] = []
    clutter = [BACKGROUND] * int(generator.integers(1, 3))
    for number in generator.permutation(cast + clutter):  # later things lie over earlier ones
        is_clutter = number == BACKGROUND
        thing = CLUTTER[generator.integers(len(CLUTTER))] if is_clutter else ANIMALS[number - 1]
        for _ in range(NUM_ATTEMPTS):
            cutout = cut_out(generator, thing, (height, width))
            in_view = [animal.behind(cutout) for animal in animals] + ([] if is_clutter else [cutout])
            if all(animal.recognisable() for animal in in_view):
                animals = in_view
                picture = paste(generator, picture, cutout)
                mask[cutout.body] = number
                break
    return photograph(generator, picture), mask


def choose_cast(generator: Generator) -> list[int]:
    """One to three animals, by number; those with different homes never meet, for only one of them could be at home."""
    chances = np.array([1.3 if animal.home else 1 for animal in ANIMALS])  # makes up for the meetings that do not happen
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
    """A thing of random size, bend and plumpness."""
    extent = EXTENT if thing.part is not no_part else CLUTTER_EXTENT
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
        cv2.polylines(opacity, [bent_limb], False, 255, max(OVERSAMPLING, round(LIMB * unit)), cv2.LINE_AA)
    x, y = on_canvas(line(*thing.part_at))[0].tolist()
    return Outline(thing, unit, opacity, part_at=(x, y))


def cut_out(generator: Generator, thing: Thing, size: Size) -> Cutout:
    """Draw a thing in outline, then shrink, turn and move it to a random place."""
    outline = draw_outline(generator, thing, size)
    part = cv2.circle(np.zeros_like(outline.opacity), outline.part_at, outline.radius, 255, cv2.FILLED)
    to_place = placement(generator, len(part), size)
    shown, part_shown = (cv2.warpAffine(layer, to_place, size[::-1]) for layer in (outline.opacity, part))
    body_size, part_size = (float((layer > 127).sum()) / OVERSAMPLING**2 for layer in (outline.opacity, part))
    opacity = np.asarray(shown / 255, np.float64)
    return Cutout(outline, to_place, opacity, body=shown > 127, part=part_shown > 127, body_size=body_size, part_size=part_size)


def placement(generator: Generator, side: int, size: Size) -> npt.NDArray[np.float64]:
    """The affine map of a random turn, flip and shift, from canvas to image."""
    turn = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), generator.uniform(-75, 75), 1 / OVERSAMPLING), np.float64)
    if generator.random() < 0.5:
        turn = turn @ np.array([[-1, 0, side], [0, 1, 0], [0, 0, 1]])
    centre = generator.uniform(0.2, 0.8, 2) * size[::-1]
    turn[:, 2] += centre - side / 2
    return turn


def paste(generator: Generator, picture: Map, cutout: Cutout) -> Map:
    """Paint a thing and lay it over a picture, with a soft shadow around it."""
    painted = cv2.warpAffine(cutout.outline.painted(generator), cutout.to_place, picture.shape[1::-1])
    shadow = np.asarray(cv2.GaussianBlur(cutout.opacity, (0, 0), 3), np.float64)[..., None]
    opacity = cutout.opacity[..., None]
    return picture * (1 - 0.45 * shadow) * (1 - opacity) + painted * opacity


def photograph(generator: Generator, picture: Map) -> Image:
    """Uneven light, the colour of the light, a lens that is not quite sharp, and sensor noise."""
    light = 1 + 0.15 * noise(generator, picture.shape[:2], tall=0.8, wide=0.8)[..., None] + generator.normal(0, 0.08, 3)
    sharp = cv2.GaussianBlur(picture * light, (0, 0), generator.uniform(0.4, 0.8))
    return np.asarray((sharp + generator.normal(0, generator.uniform(2, 6), picture.shape)).clip(0, 255).round(), np.uint8)
