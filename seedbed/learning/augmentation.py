"""Random views of a training image and of its maps, all cropped, scaled and flipped alike."""

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
    labels: npt.NDArray[np.bool_]  # (class,): whether the image contains it; background, at 0, is always true
    maps: Mapping[str, Map]  # maps of the image's size, by name
    padding: Mapping[str, int]  # what each map holds beyond the image's border


@parameters
class Colours:
    """How far the colours of a view may differ from the image's, drawn at random."""

    brightness: Share  # largest relative change
    contrast: Share  # largest relative change
    saturation: Share  # largest relative change
    hue: Annotated[float, Field(ge=0, le=0.5)]  # largest rotation of the colour circle; 1 is a full turn

    def jitter(self, image: Image, random: np.random.Generator) -> Image:
        """The image in other colours."""
        brightness, contrast, saturation = (1 + random.uniform(-most, most) for most in (self.brightness, self.contrast, self.saturation))
        pixels = image.astype(np.float32) * brightness
        pixels = (pixels - pixels.mean()) * contrast + pixels.mean()
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = (pixels - grey[..., None]) * saturation + grey[..., None]
        jittered = np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)
        return self._rotate_hue(jittered, random.uniform(-self.hue, self.hue)) if self.hue else jittered

    @staticmethod
    def _rotate_hue(image: Image, turn: float) -> Image:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)  # a full turn of the hue is 256 steps
        hsv[..., 0] += np.uint8(round(turn * 256) % 256)
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


@parameters
class Augmentation:
    """How far a view may differ from the image."""

    crop: Annotated[int, Field(ge=16, le=20_000)]  # edge of the square that is cropped, in pixels; small images are padded
    longer_side: Annotated[int, Field(ge=0, le=20_000)]  # length that the longer side is resized to first; 0: it stays as it is
    smallest_scale: Scale  # images are resized by a factor between these two
    largest_scale: Scale  # see smallest_scale
    scale_steps: Annotated[int, Field(ge=0, le=100)]  # number of evenly spaced factors to draw from; 0: any factor between the two
    interpolation: Literal["bilinear", "antialiased_cubic"]  # how images are resized
    padding: tuple[Byte, ...]  # red, green and blue beyond the image's border, not jittered; empty: the image's mean colour
    flip: Share  # probability of a left-right flip
    colours: Colours

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if self.smallest_scale > self.largest_scale:
            raise ValueError(f"smallest_scale no larger than largest_scale, which is {self.largest_scale}")
        return self

    @model_validator(mode="after")
    def _check_scale_steps(self) -> Self:
        if self.scale_steps == 1 and self.smallest_scale != self.largest_scale:
            raise ValueError("0 or at least 2 scale_steps where smallest_scale and largest_scale differ")
        return self

    @model_validator(mode="after")
    def _check_padding(self) -> Self:
        if len(self.padding) not in (0, 3):
            raise ValueError("a padding of three numbers, or of none")
        return self

    def view(self, sample: Sample, random: np.random.Generator) -> Sample:
        """One random view. The image stays uint8."""
        scale = self._draw_scale(random)
        if self.longer_side:
            scale *= self.longer_side / max(sample.image.shape[:2])
        height, width = (max(1, round(length * scale)) for length in sample.image.shape[:2])
        top, left = (self._draw_offset(length, random) for length in (height, width))
        flip = random.random() < self.flip
        image = resize(sample.image, (height, width), interpolation=self.interpolation)
        maps = {
            name: self._pad(
                cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), top, left, flip, sample.padding[name]
            )
            for name, pixels in sample.maps.items()
        }
        if self.padding:
            jittered = self.colours.jitter(self._crop(image, top, left), random)
            window = self._pad(jittered, min(top, 0), min(left, 0), flip, self.padding)
        else:
            mean = tuple(int(channel) for channel in image.reshape(-1, 3).mean(axis=0))
            window = self.colours.jitter(self._pad(image, top, left, flip, mean), random)
        return Sample(image=window, labels=sample.labels, maps=maps, padding=sample.padding)

    def _draw_scale(self, random: np.random.Generator) -> float:
        """The factor that a view is resized by."""
        if not self.scale_steps:
            return random.uniform(self.smallest_scale, self.largest_scale)
        return float(random.choice(np.linspace(self.smallest_scale, self.largest_scale, self.scale_steps)))

    def _draw_offset(self, length: int, random: np.random.Generator) -> int:
        """Where the window begins along an axis; negative where the image is smaller and lies within the window."""
        low, high = sorted((0, length - self.crop))
        return int(random.integers(low, high + 1))

    def _crop(self, pixels: npt.NDArray[Any], top: int, left: int) -> npt.NDArray[Any]:
        """What a window shows of an image or a map, without padding."""
        return pixels[max(top, 0) : top + self.crop, max(left, 0) : left + self.crop]

    def _pad(self, pixels: npt.NDArray[Any], top: int, left: int, flip: bool, fill: object) -> npt.NDArray[Any]:
        """A window of an image or a map, padded where it reaches beyond the border."""
        window = np.empty((self.crop, self.crop, *pixels.shape[2:]), pixels.dtype)
        window[...] = fill
        part = self._crop(pixels, top, left)
        first_row, first_column = max(-top, 0), max(-left, 0)
        window[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = part
        return np.ascontiguousarray(window[:, ::-1]) if flip else window
