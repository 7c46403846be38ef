"""Colour and texture by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from seedbed.features.texture import Texture
from seedbed.types import Alignment, Image
from tests.support.oracles import photograph


def test_an_angle_that_is_rounded_to_half_a_turn_is_of_the_last_direction(texture: Texture) -> None:
    lightness = np.array([[-1, 2**-23, 1], [-1, 0, 1], [-1, 0, 1]], np.float32)  # up by next to nothing, and far to the right
    assert np.flatnonzero(texture._edges(lightness)[1, 1]).tolist() == [3]


@pytest.fixture
def texture() -> Texture:
    return Texture(patch_size=8, num_directions=4, reach=0.5, texture_weight=1.0)


def halves(left: Image, right: Image) -> Image:
    return np.concatenate([left, right], axis=1)


def similarity(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def stripes(size: tuple[int, int], *, upright: bool) -> Image:
    y, x = np.indices(size)
    return np.repeat(np.where((x if upright else y) // 2 % 2, 200, 60).astype(np.uint8)[..., None], 3, axis=-1)


def test_patches_of_one_colour_resemble_each_other_and_not_those_of_another(texture: Texture) -> None:
    image = halves(np.full((24, 24, 3), (200, 30, 30), np.uint8), np.full((24, 32, 3), (30, 30, 200), np.uint8))
    [patches] = texture.describe([image])
    assert similarity(patches.values[0, 0], patches.values[2, 1]) > 0.9
    assert similarity(patches.values[0, 0], patches.values[0, 6]) < 0


def test_patches_are_told_apart_by_the_direction_of_their_stripes(texture: Texture) -> None:
    image = halves(stripes((24, 24), upright=True), stripes((24, 32), upright=False))
    [patches] = texture.describe([image])
    inner = patches.values[1]
    assert similarity(inner[1], inner[5]) < 0 < similarity(inner[4], inner[5])


def test_without_its_weight_texture_says_nothing(texture: Texture) -> None:
    image = halves(stripes((24, 24), upright=True), stripes((24, 32), upright=False))
    [patches] = dataclasses.replace(texture, texture_weight=0).describe([image])
    assert not patches.values[..., 3:].any()


def test_channels_are_standardised_within_the_image(texture: Texture) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    [patches] = texture.describe([image])
    colours = patches.values[..., :3].reshape(-1, 3)
    assert np.allclose(colours.mean(axis=0), 0, atol=1e-4) and np.allclose(colours.std(axis=0), 1, atol=1e-4)
    directions = patches.values[..., 3:].reshape(-1, 4)
    assert np.allclose(directions.std(axis=0), 0.5, atol=1e-4)  # weight 1, shared by four directions


def test_an_image_of_one_colour_says_nothing(texture: Texture) -> None:
    [patches] = texture.describe([np.full((17, 33, 3), 90, np.uint8)])
    assert not patches.values.any()


@pytest.mark.parametrize("colour", [(130, 130, 130), (200, 30, 30), (13, 77, 140)])
def test_no_rounding_is_taken_for_a_colour(texture: Texture, colour: tuple[int, int, int]) -> None:
    [patches] = texture.describe([np.full((81, 121, 3), colour, np.uint8)])
    assert not patches.values.any()


def test_patches_begin_at_the_upper_left_and_the_last_reach_beyond_the_image(texture: Texture) -> None:
    image = np.zeros((9, 20, 3), np.uint8)
    image[:, 8:16], image[8:] = 128, 255
    [patches] = dataclasses.replace(texture, reach=0.01, texture_weight=0).describe([image])
    lightness = patches.values[..., 0]
    assert patches.alignment is Alignment.PADDED
    assert lightness.shape == (2, 3) and lightness[0, 0] == lightness[0, 2] < lightness[0, 1] < lightness[1].min() == lightness[1].max()


def test_there_is_a_channel_for_every_colour_and_direction(small_method: Callable[[str, str], Any]) -> None:
    texture = small_method("features", "texture")
    assert texture.num_channels == 3 + texture.num_directions


# --- As a whole ---


def test_the_whole_written_down_plainly() -> None:
    image = photograph((23, 37))
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0].astype(np.float64)
    across, down = ndimage.sobel(light, axis=1, mode="mirror"), ndimage.sobel(light, axis=0, mode="mirror")
    channels = [*np.moveaxis(lab.astype(np.float64), -1, 0)]
    for number in range(6):
        channel = np.zeros((23, 37))
        for y, x in np.ndindex(23, 37):
            angle = math.atan2(down[y, x], across[y, x]) % math.pi
            if min(5, int(angle / (math.pi / 6))) == number:
                channel[y, x] = math.sqrt(math.hypot(down[y, x], across[y, x]))
        channels.append(channel)
    sigma = 0.7 * 5
    steps = np.arange(-14, 15)  # four deviations, as OpenCV takes of floating point
    kernel = np.exp(-(steps**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    expected = np.zeros((5, 8, 9))
    for number, channel in enumerate(channels):
        padded = np.pad(channel, ((0, 2), (0, 3)), mode="edge")
        blurred = ndimage.correlate1d(ndimage.correlate1d(padded, kernel, axis=0, mode="mirror"), kernel, axis=1, mode="mirror")
        for row, column in np.ndindex(5, 8):
            expected[row, column, number] = blurred[5 * row : 5 * row + 5, 5 * column : 5 * column + 5].mean()
        values = expected[..., number]
        expected[..., number] = (values - values.mean()) / values.std() * (1 if number < 3 else 1.3 / math.sqrt(6))
    texture = Texture(patch_size=5, num_directions=6, reach=0.7, texture_weight=1.3)
    [found] = texture.describe([image])
    assert (found.patch_size, found.alignment) == (5, Alignment.PADDED)
    assert found.values.shape == expected.shape and np.allclose(found.values, expected, atol=2e-3)
