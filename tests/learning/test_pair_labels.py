"""What labels say of pairs of cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seedbed.algorithms.cell_pairs import list_offsets
from seedbed.learning.pair_labels import PairLabels, average_over, check_views


def test_hand_made_labels() -> None:
    """A radius of 2: right, below, below to the left, below to the right."""
    labels = torch.tensor([[[9, 0, 0, 2, 9], [9, 1, 0, 255, 9], [9, 1, 2, 2, 9]]])
    pairs = PairLabels.of(labels, (3, 5), 2)
    assert pairs.background[0].long().tolist() == [
        [[1, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 0, 0]],
    ]
    assert pairs.foreground[0].long().tolist() == [
        [[0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
    ]
    assert pairs.different[0].long().tolist() == [
        [[0, 1, 1], [1, 0, 0]],
        [[1, 0, 0], [0, 1, 0]],
        [[1, 1, 1], [1, 1, 0]],
        [[0, 0, 1], [1, 1, 0]],
    ]


@pytest.mark.parametrize("size", [(24, 40), (22, 37), (7, 9)])
def test_every_pair_is_of_the_kind_that_its_middle_pixels_say(size: tuple[int, int]) -> None:
    random, radius, (rows, columns) = np.random.default_rng(2), 3, (6, 9)
    pixels = random.choice(np.array([0, 1, 3, 255]), (2, *size))
    pairs = PairLabels.of(torch.from_numpy(pixels), (rows, columns), radius)
    kinds = pairs.background.long() + 2 * pairs.foreground.long() + 4 * pairs.different.long()
    assert kinds.shape == (2, 12, 4, 5)
    for image, number, y, x in np.ndindex(2, 12, 4, 5):
        down, across = list_offsets(radius)[number]
        cells = (y, x + 2), (y + down, x + 2 + across)
        one, other = (pixels[image, int((row + 0.5) * size[0] / rows), int((column + 0.5) * size[1] / columns)] for row, column in cells)
        expected = 0 if 255 in (one, other) else 4 if one != other else 1 if one == 0 else 2
        assert kinds[image, number, y, x] == expected


def test_the_middle_pixel_of_a_cell_decides() -> None:
    labels = torch.full((1, 6, 9), 255)
    labels[0, 1::3, 1::3] = torch.tensor([[4, 4, 0], [4, 0, 0]])
    pairs = PairLabels.of(labels, (2, 3), 2)
    assert pairs.foreground.flatten().tolist() == [False, False, True, False]  # the middle cell above: right, below, and beside that
    assert pairs.different.flatten().tolist() == [True, True, False, True]


def test_images_smaller_than_the_margin_have_no_pairs() -> None:
    pairs = PairLabels.of(torch.zeros(2, 8, 12, dtype=torch.long), (2, 3), 5)
    assert pairs.background.shape == (2, 34, 0, 0) and not pairs.background.any()
    assert average_over(torch.zeros(pairs.background.shape), pairs.background) == 0


def test_an_average_is_over_the_pairs_alone() -> None:
    losses = torch.tensor([[1.0, 2.0, 60.0], [4.0, 5.0, 6.0]])
    assert average_over(losses, torch.tensor([[True, False, False], [True, True, False]])).item() == pytest.approx(10 / 3, rel=1e-5)
    assert average_over(losses, losses == 1).item() == pytest.approx(1 / (1 + 1e-5), rel=1e-6)
    assert average_over(losses, losses > 99).item() == 0


@pytest.mark.parametrize(("crop", "radius", "most"), [(32, 4, None), (32, 5, 4), (35, 5, None), (33, 6, 5), (16, 3, 2)])
def test_views_in_which_no_cell_has_all_its_pairs_are_refused(crop: int, radius: int, most: int | None) -> None:
    columns = -(-crop // 4)
    pairs = PairLabels.of(torch.zeros(1, crop, crop, dtype=torch.int64), (columns, columns), radius)
    if most is None:
        check_views(crop, 4, radius)
        assert pairs.background.any()
    else:
        assert not pairs.background.numel()
        with pytest.raises(ValueError, match=f"a radius of at most {most}, because a view of {crop} pixels has {columns} cells in a row"):
            check_views(crop, 4, radius)
        check_views(crop, 4, most)
