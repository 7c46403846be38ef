"""Pairs of cells: which there are, which cells lie between, and what becomes of those near the border."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from seedbed.algorithms.cell_pairs import (
    find_margin,
    find_radius,
    list_offsets,
    mask_sources,
    measure_barriers,
    shift_window,
    split_pairs,
    trace_path,
)

GRIDS = [(5, 9), (9, 5), (3, 7), (2, 5), (1, 1), (1, 6), (6, 1)]  # of some, no cell has all its pairs
Offset = tuple[int, int]


def maps_of(grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).random((2, *grid), np.float32)


@pytest.mark.parametrize(("radius", "count"), [(2, 4), (3, 12), (5, 34), (10, 152)])
def test_every_pair_nearer_than_the_radius_is_there_once(radius: int, count: int) -> None:
    near = {(y, x) for y in range(-20, 21) for x in range(-20, 21) if 0 < math.hypot(y, x) < radius}
    found = list_offsets(radius)
    assert len(found) == len(set(found)) == count
    assert set(found) | {(-y, -x) for y, x in found} == near and 2 * count == len(near)
    assert all(y > 0 or (y == 0 and x > 0) for y, x in found)


def test_the_next_cells_come_first() -> None:
    """Artifacts keep distances in this order."""
    expected = [(0, 1), (1, 0), (1, -1), (1, 1), (0, 2), (2, 0), (1, -2), (1, 2), (2, -1), (2, 1), (2, -2), (2, 2)]
    assert list(list_offsets(3)) == expected


def test_offsets_of_a_smaller_radius_are_the_first_of_a_larger() -> None:
    largest = list_offsets(10)
    assert all(list_offsets(radius) == largest[: len(list_offsets(radius))] for radius in range(2, 10))


@pytest.mark.parametrize(
    ("offset", "between"),
    [
        ((0, 1), {(0, 0), (0, 1)}),
        ((0, 3), {(0, 0), (0, 1), (0, 2), (0, 3)}),
        ((3, 0), {(0, 0), (1, 0), (2, 0), (3, 0)}),
        ((1, 1), {(0, 0), (0, 1), (1, 0), (1, 1)}),
        ((2, 2), {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)}),
        ((2, -2), {(0, 0), (0, -1), (1, 0), (1, -1), (1, -2), (2, -1), (2, -2)}),
        ((1, 3), {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)}),
        ((1, -2), {(0, 0), (0, -1), (0, -2), (1, 0), (1, -1), (1, -2)}),
        ((2, 3), {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3)}),
        ((3, -1), {(0, 0), (1, 0), (2, 0), (3, 0), (0, -1), (1, -1), (2, -1), (3, -1)}),
    ],
)
def test_the_way_to_another_cell(offset: Offset, between: set[Offset]) -> None:
    assert sorted(trace_path(offset)) == sorted(between)


def test_the_way_is_all_that_is_nearer_to_the_line_than_a_cell() -> None:
    for rows, columns in list_offsets(6):
        box = [(y, x) for y in range(rows + 1) for x in range(min(0, columns), max(0, columns) + 1)]
        expected = []
        for y, x in box:
            along = (y * rows + x * columns) / (rows**2 + columns**2)
            if math.hypot(y - along * rows, x - along * columns) < 1 - 1e-9:
                expected.append((y, x))
        assert list(trace_path((rows, columns))) == expected
        assert {(0, 0), (rows, columns)} <= set(expected)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("radius", [2, 3, 4])
def test_a_window_is_what_lies_at_an_offset_from_cells_that_have_all_their_pairs(grid: tuple[int, int], radius: int) -> None:
    maps, margin, (height, width) = maps_of(grid), radius - 1, grid
    assert find_margin(radius) == margin
    inside = [(y, x) for y in range(height - margin) for x in range(margin, width - margin)]
    for down, across in [(0, 0), *list_offsets(radius)]:
        expected = [maps[:, y + down, x + across] for y, x in inside]
        for found in (shift_window(maps, (down, across), margin), shift_window(torch.from_numpy(maps), (down, across), margin).numpy()):
            assert found.shape == (2, max(0, height - margin), max(0, width - 2 * margin))
            assert np.array_equal(found.reshape(2, -1).T, np.reshape(expected, (-1, 2)))


@pytest.mark.parametrize("grid", GRIDS)
def test_both_sides_of_all_pairs(grid: tuple[int, int]) -> None:
    maps, (height, width) = maps_of(grid), grid
    for down, across in list_offsets(5):
        places = [(y, x) for y in range(height - down) for x in range(width) if 0 <= x + across < width]
        one, other = split_pairs(maps, (down, across))
        assert one.shape == other.shape
        assert np.array_equal(one.reshape(2, -1).T, np.reshape([maps[:, y, x] for y, x in places], (-1, 2)))
        assert np.array_equal(other.reshape(2, -1).T, np.reshape([maps[:, y + down, x + across] for y, x in places], (-1, 2)))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("margin", [0, 1, 4])
def test_sources_are_cells_with_a_pair_that_are_not_near_the_border(grid: tuple[int, int], margin: int) -> None:
    height, width = grid
    for down, across in list_offsets(5):
        found = mask_sources(grid, (down, across), margin=margin)
        for y, x in np.ndindex(grid):
            paired = y + down < height and 0 <= x + across < width
            assert found[y, x] == (paired and y < height - margin and margin <= x < width - margin)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("radius", [2, 4])
def test_a_barrier_is_the_highest_boundary_on_the_way(grid: tuple[int, int], radius: int) -> None:
    boundaries, margin, (height, width) = maps_of(grid)[0], radius - 1, grid
    found: Any = measure_barriers(boundaries, radius, np.maximum)
    tensors: Any = measure_barriers(torch.from_numpy(boundaries)[None], radius, torch.maximum)
    for offset, one, tensor in zip(list_offsets(radius), found, tensors, strict=True):
        expected = [
            [max(boundaries[y + down, x + across] for down, across in trace_path(offset)) for x in range(margin, width - margin)]
            for y in range(height - margin)
        ]
        shape = max(0, height - margin), max(0, width - 2 * margin)
        assert one.shape == shape and np.array_equal(one, np.reshape(expected, shape)) and np.array_equal(one, tensor[0])


def test_a_radius_follows_from_the_number_of_pairs() -> None:
    assert [find_radius(len(list_offsets(radius))) for radius in range(2, 12)] == list(range(2, 12)) and find_radius(0) == 0
