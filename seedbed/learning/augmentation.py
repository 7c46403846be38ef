"""Random views of a training image, and of every map that belongs to it, cut and turned alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from seedbed.algorithms.resizing import resize
from seedbed.methods import parameters
from seedbed.types import Image

Byte = Annotated[int, Field(ge=0, le=255)]
Map = npt.NDArray[Any]  # (y, x): labels or regions
Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=16)]  # of an image


@dataclass(frozen=True)
class Sample:
    """One image to learn from."""

    image: Image
    labels: npt.NDArray[np.bool_]  # (class,): what the image contains; background at 0 is always true
    maps: Mapping[str, Map]  # maps of the image's size, by name
    padding: Mapping[str, int]  # what each map holds where there is no image


@parameters
class Colours:
    """How far the colours of a view may differ from the image's."""

    brightness: Share  # largest relative change
    contrast: Share  # largest relative change
    saturation: Share  # largest relative change
    hue: Annotated[float, Field(ge=0, le=0.5)]  # largest turn of the colour circle, of which 1 is the whole

    def changed(self, image: Image, random: np.random.Generator) -> Image:
        """An image in other colours."""
        brightness, contrast, saturation = (1 + random.uniform(-most, most) for most in (self.brightness, self.contrast, self.saturation))
        pixels = image.astype(np.float32) * brightness
        pixels = (pixels - pixels.mean()) * contrast + pixels.mean()
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = (pixels - grey[..., None]) * saturation + grey[..., None]
        changed = np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)
        return self._turn(changed, random.uniform(-self.hue, self.hue)) if self.hue else changed

    @staticmethod
    def _turn(image: Image, turn: float) -> Image:
        circle = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)  # the whole circle is 256 steps
        circle[..., 0] += np.uint8(round(turn * 256) % 256)
        return np.asarray(cv2.cvtColor(circle, cv2.COLOR_HSV2RGB_FULL), np.uint8)


@parameters
class Augmentation:
    """How far a view may differ from the image."""

    crop: Annotated[int, Field(ge=16, le=20_000)]  # edge of the square that is cut, in pixels; small images are padded
    longer_side: Annotated[int, Field(ge=0, le=20_000)]  # length that the longer side is resized to before all else; 0: as it is
    smallest_scale: Scale  # images are resized by a factor between these two
    largest_scale: Scale  # see smallest_scale
    scale_steps: Annotated[int, Field(ge=0, le=100)]  # so many factors alone, at equal distances from one to the other; 0: any
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how images are resized
    padding: tuple[Byte, ...]  # red, green and blue beyond an image's border, whatever colours become; empty: the image's mean colour
    flip: Share  # probability of a left-right flip
    colours: Colours

    @model_validator(mode="after")
    def _scales_in_order(self) -> Self:
        if self.smallest_scale > self.largest_scale:
            raise ValueError(f"smallest_scale no larger than largest_scale, which is {self.largest_scale}")
        return self

    @model_validator(mode="after")
    def _steps_reach_both(self) -> Self:
        if self.scale_steps == 1 and self.smallest_scale != self.largest_scale:
            raise ValueError("0 or at least 2 scale_steps where smallest_scale and largest_scale differ")
        return self

    @model_validator(mode="after")
    def _padding_is_a_colour(self) -> Self:
        if len(self.padding) not in (0, 3):
            raise ValueError("a padding of three numbers, or of none")
        return self

    def view(self, sample: Sample, random: np.random.Generator) -> Sample:
        """One random view. The image stays uint8."""
        scale = self._scale(random)
        if self.longer_side:
            scale *= self.longer_side / max(sample.image.shape[:2])
        height, width = (max(1, round(length * scale)) for length in sample.image.shape[:2])
        top, left = (self._offset(length, random) for length in (height, width))
        flip = random.random() < self.flip
        image = resize(sample.image, (height, width), interpolation=self.interpolation)
        maps = {
            name: self._window(
                cv2.resize(one, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), top, left, flip, sample.padding[name]
            )
            for name, one in sample.maps.items()
        }
        if self.padding:
            shown = self.colours.changed(self._part(image, top, left), random)
            window = self._window(shown, min(top, 0), min(left, 0), flip, self.padding)
        else:
            mean = tuple(int(one) for one in image.reshape(-1, 3).mean(axis=0))
            window = self.colours.changed(self._window(image, top, left, flip, mean), random)
        return Sample(image=window, labels=sample.labels, maps=maps, padding=sample.padding)

    def _scale(self, random: np.random.Generator) -> float:
        """The factor of a view."""
        if not self.scale_steps:
            return random.uniform(self.smallest_scale, self.largest_scale)
        return float(random.choice(np.linspace(self.smallest_scale, self.largest_scale, self.scale_steps)))

    def _offset(self, length: int, random: np.random.Generator) -> int:
        """Where the window begins; negative where the image is smaller and is placed inside it."""
        low, high = sorted((0, length - self.crop))
        return int(random.integers(low, high + 1))

    def _part(self, pixels: npt.NDArray[Any], top: int, left: int) -> npt.NDArray[Any]:
        """What a window shows of an image or a map."""
        return pixels[max(top, 0) : top + self.crop, max(left, 0) : left + self.crop]

    def _window(self, pixels: npt.NDArray[Any], top: int, left: int, flip: bool, fill: object) -> npt.NDArray[Any]:
        """A window of an image or a map."""
        window = np.empty((self.crop, self.crop, *pixels.shape[2:]), pixels.dtype)
        window[...] = fill
        part = self._part(pixels, top, left)
        first_row, first_column = max(-top, 0), max(-left, 0)
        window[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = part
        return np.ascontiguousarray(window[:, ::-1]) if flip else window
