"""How little answers may change."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from seedbed.learning.smoothness import Smoothness

PAPER = Smoothness(weight=10, distance=2, place=16, brightness=16, hue=8)


def grey(values: list[list[float]]) -> torch.Tensor:
    return torch.tensor(values)[None, None].expand(1, 3, -1, -1).contiguous() / 255


def test_what_is_constant_costs_nothing() -> None:
    images = torch.rand(2, 3, 6, 9)
    assert float(PAPER.measure(torch.full((2, 1, 6, 9), 3.0), images)) == 0


def test_in_one_colour_only_places_count() -> None:
    weights = PAPER.weigh(torch.full((1, 3, 9, 11), 0.4))[0, :, 4, 5]
    straight, diagonal = math.exp(-4 / 32), math.exp(-8 / 32)
    assert weights.tolist() == pytest.approx([diagonal, straight, diagonal, straight, straight, diagonal, straight, diagonal])
    at_corner = PAPER.weigh(torch.full((1, 3, 9, 11), 0.4))[0, :, 0, 0]
    assert at_corner[0] == at_corner[1] == at_corner[3] == 1, "beyond the border is the pixel itself"


def test_a_board_of_two_colours_costs_all_weights_of_what_differs() -> None:
    """Neighbours one pixel away: the straight ones differ, the diagonal ones do not."""
    near = dataclasses.replace(PAPER, distance=1)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    cost = float(near.measure(board[None, None].float(), torch.full((1, 3, 8, 8), 0.4)))
    differing = 36 * 4 + 24 * 5 + 4 * 4  # of 64 pixels: diagonal neighbours beyond a side are those beside the pixel
    assert cost == pytest.approx(math.exp(-1 / 32) * differing / (8 * 64), rel=1e-5)


def test_across_a_strong_edge_answers_may_change() -> None:
    logits = torch.cat([torch.zeros(1, 1, 8, 4), torch.ones(1, 1, 8, 4)], dim=3)
    flat, edge = torch.full((1, 3, 8, 8), 0.4), torch.cat([torch.zeros(1, 3, 8, 4), torch.ones(1, 3, 8, 4)], dim=3)
    assert float(PAPER.measure(logits, edge)) < 1e-6 < float(PAPER.measure(logits, flat))


def test_changes_of_brightness_are_none_of_hue() -> None:
    """A ramp of grey costs what its brightness does, however hue counts."""
    ramp = grey([[8.0 * column for column in range(12)] for _ in range(6)])
    weights = PAPER.weigh(ramp)[0, 4, 3, 5]  # to the right
    assert float(weights) == pytest.approx(math.exp(-(4 / 16 + 16**2 / 16) / 2), rel=1e-3)
    assert torch.allclose(PAPER.weigh(ramp), dataclasses.replace(PAPER, hue=1000).weigh(ramp), rtol=1e-3)


def measure_plainly(logits: np.ndarray, image: np.ndarray, one: Smoothness) -> float:
    """The same of one image, pixel by pixel. image: (y, x, rgb), of 255."""
    height, width = logits.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            for down in (-one.distance, 0, one.distance):
                for across in (-one.distance, 0, one.distance):
                    if not down and not across:
                        continue
                    there = min(max(row + down, 0), height - 1), min(max(column + across, 0), width - 1)
                    red, green, blue = image[row, column] - image[there]
                    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
                    hue = (-0.147 * red - 0.289 * green + 0.436 * blue) ** 2 + (0.615 * red - 0.515 * green - 0.1 * blue) ** 2
                    far = ((row - there[0]) ** 2 + (column - there[1]) ** 2) / one.place + brightness**2 / one.brightness + hue / one.hue
                    total += math.exp(-far / 2) * (logits[row, column] - logits[there]) ** 2
    return float(total / (8 * height * width))


@pytest.mark.parametrize("distance", [1, 3])
def test_the_whole_term_is_the_same_written_down_plainly(distance: int) -> None:
    one = Smoothness(weight=1, distance=distance, place=5, brightness=300, hue=200)
    random = np.random.default_rng(0)
    images, logits = random.integers(0, 60, (2, 6, 9, 3)), random.standard_normal((2, 6, 9)).astype(np.float32)
    found = one.measure(torch.from_numpy(logits)[:, None], torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    expected = np.mean([measure_plainly(each, image, one) for each, image in zip(logits, images.astype(float), strict=True)])
    assert float(found) == pytest.approx(expected, rel=1e-4)
