"""A network's maps over scales and mirror images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seedbed.inference import summed

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def colours(images_BCYX: Tensor) -> Tensor:
    """A network that repeats what it sees."""
    return images_BCYX


def test_one_view_is_what_the_network_says() -> None:
    maps = summed(colours, IMAGE, scales=[1.0], flip=False, size=(6, 10), device="cpu")
    assert maps.dtype == np.float32
    assert np.allclose(maps, np.moveaxis(IMAGE, -1, 0) / 255, atol=1e-6)


def test_the_mirror_image_is_turned_back_before_it_is_added() -> None:
    maps = summed(colours, IMAGE, scales=[1.0], flip=True, size=(6, 10), device="cpu")
    assert np.allclose(maps, 2.0 * np.moveaxis(IMAGE, -1, 0) / 255, atol=1e-6)


def test_what_a_network_sees_only_on_the_left_is_seen_on_both_sides() -> None:
    def left(images_BCYX: Tensor) -> Tensor:
        seen = torch.zeros_like(images_BCYX[:, :1])
        seen[..., :2] = 1
        return seen

    maps = summed(left, IMAGE, scales=[1.0], flip=True, size=(6, 10), device="cpu")
    assert maps[0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("flip", [False, True])
def test_a_network_gets_every_scale_once_and_its_mirror_image_beside_it(flip: bool) -> None:
    seen: list[tuple[int, ...]] = []

    def watched(images_BCYX: Tensor) -> Tensor:
        seen.append(tuple(images_BCYX.shape))
        return images_BCYX

    maps = summed(watched, IMAGE, scales=[1.0, 0.5, 1.5], flip=flip, size=(3, 4), device="cpu")
    views = 2 if flip else 1
    assert seen == [(views, 3, 6, 10), (views, 3, 3, 5), (views, 3, 9, 15)]
    assert maps.shape == (3, 3, 4)


def test_scales_count_alike() -> None:
    grey = np.full((6, 10, 3), 51, np.uint8)
    maps = summed(colours, grey, scales=[1.0, 0.5, 2.0], flip=True, size=(4, 7), device="cpu")
    assert np.allclose(maps, 6 * 0.2)


def test_a_very_small_scale_keeps_a_pixel() -> None:
    assert summed(colours, IMAGE, scales=[0.01], flip=False, size=(2, 3), device="cpu").shape == (3, 2, 3)
