"""Answers of a network that looks more closely at where it has seen something."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from seedbed.algorithms.clicks import Click
from seedbed.networks.zooming import Box, Zoom, ZoomedAnswer

ZOOM = Zoom(side=24, widened=1.5, smallest=6, kept=0.5, threshold=0.5, mirrored=False)


class Bright(nn.Module):
    """Says that bright pixels are wanted, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def forward(self, images_BCYX: torch.Tensor, answers_B1YX: torch.Tensor, clicks_B2N2: torch.Tensor) -> torch.Tensor:
        self.shown.append((images_BCYX, answers_B1YX, clicks_B2N2))
        ramp = torch.arange(images_BCYX.shape[-1]) / 100  # so that mirror images are answered otherwise
        return 20 * (images_BCYX[:, :1] - 0.5) + ramp


def picture(*boxes: Box, size: tuple[int, int] = (40, 60)) -> Any:
    made = np.zeros((*size, 3), np.uint8)
    for one in boxes:
        made[one.top : one.bottom + 1, one.left : one.right + 1] = 255
    return made


def answering(image: Any, **changes: Any) -> tuple[ZoomedAnswer, Any]:
    network: Any = Bright()
    return ZoomedAnswer(network, image, dataclasses.replace(ZOOM, **changes), "cpu"), network


# --- Boxes ---


def test_a_box_is_around_all_pixels() -> None:
    mask = np.zeros((7, 9), np.bool_)
    mask[2, 3] = mask[5, 8] = True
    assert Box.around(mask) == (2, 5, 3, 8) and Box.around(mask).size == (4, 6)


def test_a_box_widens_about_its_middle_as_far_as_the_image_goes() -> None:
    assert Box(10, 19, 20, 29).widen(1.5, 4, (100, 100)) == (7, 22, 17, 32)
    assert Box(10, 19, 20, 29).widen(1, 40, (100, 100)) == (0, 34, 4, 44)
    assert Box(10, 19, 20, 29).widen(10, 4, (30, 27)) == (0, 29, 0, 26)


def test_a_click_in_the_last_row_or_column_counts_as_outside() -> None:
    box = Box(2, 5, 3, 8)
    assert box.holds(Click(2, 3, True)) and box.holds(Click(4, 7, True))
    assert not any(box.holds(Click(*place, True)) for place in ((1, 3), (5, 3), (2, 2), (2, 8)))


def test_boxes_are_compared_by_rows_and_columns() -> None:
    assert Box(0, 9, 0, 9).compare(Box(0, 9, 0, 9)) == 1
    assert Box(0, 9, 0, 9).compare(Box(5, 14, 0, 9)) == pytest.approx(5 / 15)
    assert Box(0, 9, 0, 9).compare(Box(5, 14, 0, 4)) == pytest.approx(5 / 15 * 5 / 10)
    assert Box(0, 9, 0, 9).compare(Box(20, 29, 0, 9)) == 0


# --- Answers ---


def test_first_the_whole_image_is_shown_then_what_is_around_the_answer() -> None:
    thing = Box(10, 15, 20, 27)
    answer, network = answering(picture(thing))
    mask = answer([Click(12, 22, True)])
    assert answer.box == (0, 39, 0, 59)
    image, last, clicks = network.shown[0]
    assert image.shape == (1, 3, 24, 24) and not last.any()
    assert clicks.tolist() == [[[pytest.approx([24 * 12 / 40, 24 * 22 / 60])], [[-1, -1]]]]
    answer([Click(12, 22, True), Click(30, 50, False)])
    assert answer.box == Box.around(mask).widen(1.5, 6, (40, 60))
    image, last, clicks = network.shown[1]
    assert last.amax() > 0.9 and clicks.shape == (1, 2, 1, 2)
    box = answer.box
    expected = functional.interpolate(
        torch.from_numpy(picture(thing)).permute(2, 0, 1)[None].float()[..., box.top : box.bottom + 1, box.left : box.right + 1] / 255,
        size=(24, 24),
        mode="bilinear",
        align_corners=True,
    )
    assert torch.allclose(image, expected)
    assert clicks[0, 1, 0].tolist() == pytest.approx([24 * (30 - box.top) / box.size[0], 24 * (50 - box.left) / box.size[1]])


def test_beyond_what_it_was_shown_nothing_is_selected() -> None:
    answer, _ = answering(picture(Box(10, 15, 20, 27)))
    answer([Click(12, 22, True)])
    answer.image = np.full((40, 60, 3), 255, np.uint8)
    mask = answer([Click(12, 22, True)])
    box = answer.box
    assert box is not None and mask[box.top : box.bottom + 1, box.left : box.right + 1].all() and mask.sum() == np.prod(box.size)


def test_a_wanted_click_elsewhere_moves_the_box_and_an_unwanted_one_does_not() -> None:
    answer, _ = answering(picture(Box(10, 15, 20, 27)))
    first = [Click(12, 22, True)]
    answer(first)
    answer(first)
    near = answer.box
    answer([*first, Click(35, 50, False)])
    assert answer.box == near
    answer([*first, Click(35, 50, True)])
    assert answer.box is not None and answer.box.holds(Click(35, 50, True)) and answer.box.holds(first[0])


def test_a_box_is_kept_while_the_new_one_is_like_it() -> None:
    for kept, same in ((0.3, True), (0.99, False)):
        answer, _ = answering(picture(Box(10, 15, 20, 27)), kept=kept)
        first = [Click(12, 22, True)]
        answer(first)
        answer(first)
        before = answer.box
        answer.image = picture(Box(10, 15, 20, 29))
        answer(first)
        answer(first)
        assert (answer.box == before) == same


def test_where_nothing_was_seen_the_whole_image_is_shown_again() -> None:
    answer, _ = answering(picture())
    answer([Click(12, 22, True)])
    assert not answer([Click(12, 22, True), Click(3, 3, True)]).any()
    assert answer.box == (0, 39, 0, 59)


def test_the_mirror_image_is_asked_too() -> None:
    image = picture(Box(10, 15, 24, 35))  # as far from the left as from the right
    answer, network = answering(image, mirrored=True)
    answer([Click(12, 22, True), Click(1, 2, False)])
    (shown, _, clicks), alone = network.shown[0], answering(image)[0]
    assert torch.equal(shown[1], shown[0].flip(-1))
    assert clicks[1, :, 0].tolist() == [pytest.approx([7.2, 23 - 8.8]), pytest.approx([0.6, 23 - 0.8])]
    alone([Click(12, 22, True), Click(1, 2, False)])
    assert answer.probabilities is not None and alone.probabilities is not None
    assert not np.allclose(answer.probabilities, alone.probabilities)
    assert np.allclose(answer.probabilities, answer.probabilities[:, ::-1], atol=1e-5)


def test_more_than_the_threshold_is_selected() -> None:
    image = np.full((8, 8, 3), 140, np.uint8)
    answer, _ = answering(image)
    assert answer([Click(1, 1, True)]).all()
    probability = answer.probabilities
    assert probability is not None
    assert not answering(image, threshold=float(probability.max()))[0]([Click(1, 1, True)]).any()
