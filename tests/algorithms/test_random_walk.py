"""Random walks, held against powers of dense transition matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from numpy.polynomial.chebyshev import chebval
from torch.nn import functional

from seedbed.algorithms.cell_pairs import list_offsets, split_pairs
from seedbed.algorithms.random_walk import TOLERANCE, Walk, expand_power, join_nodes, link_cells, share_cells, walk
from tests.support.devices import answer_on_cpu

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Size = tuple[int, int]
GRID = (6, 9)


def random_strengths(grid: Size, radius: int, *, seed: int = 0) -> Floats:
    """Some are 0, and there are some beyond the image too, which are not to be looked at."""
    random = np.random.default_rng(seed)
    made = random.random((len(list_offsets(radius)), *grid), np.float32)
    return np.asarray(np.where(random.random(made.shape) < 0.2, 0, made), np.float32)


def random_maps(grid: Size, count: int = 3, *, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((count, *grid), np.float32)


def dense_links(strengths: Floats | Doubles, radius: int, *, border: bool = True) -> Doubles:
    """Cell by cell."""
    height, width = strengths.shape[1:]
    margin = 0 if border else radius - 1
    made = np.eye(height * width)
    for (down, across), one in zip(list_offsets(radius), strengths, strict=False):
        for y, x in np.ndindex(height, width):
            if y + down < height and 0 <= x + across < width and y < height - margin and margin <= x < width - margin:
                here, there = y * width + x, (y + down) * width + x + across
                made[here, there] = made[there, here] = one[y, x]
    return made


def dense_walk(values: npt.NDArray[Any], links: Doubles, steps: int) -> Doubles:
    """Values (map, node)."""
    return np.asarray(values.astype(np.float64) @ np.linalg.matrix_power(links / links.sum(axis=0), steps))


def dense_shares(regions: npt.NDArray[np.int32], stride: int) -> Doubles:
    """Share of each cell's pixels in each region (cell, region), pixel by pixel."""
    height, width = regions.shape
    rows, columns = -(-height // stride), -(-width // stride)
    made = np.zeros((rows * columns, int(regions.max()) + 1))
    for y, x in np.ndindex(height, width):
        made[y // stride * columns + x // stride, regions[y, x]] += 1 / stride**2
    return made


def flat(maps: Floats) -> Floats:
    return maps.reshape(len(maps), -1)


# --- Links ---


@pytest.mark.parametrize("grid", [GRID, (9, 4), (2, 7), (7, 2), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("radius", [2, 4])
def test_links_are_those_of_a_dense_matrix(grid: Size, border: bool, radius: int) -> None:
    strengths = random_strengths(grid, radius)
    found = link_cells(strengths, radius=radius, border=border).toarray()
    assert np.array_equal(found, dense_links(strengths, radius, border=border))
    assert np.array_equal(found, found.T) and (found.diagonal() == 1).all()


def test_strengths_of_a_larger_radius_begin_with_those_of_a_smaller() -> None:
    strengths = random_strengths(GRID, 5)
    narrow = link_cells(strengths[: len(list_offsets(3))], radius=3, border=True)
    assert np.array_equal(link_cells(strengths, radius=3, border=True).toarray(), narrow.toarray())


def test_without_border_links_cells_near_the_left_right_and_lower_border_are_reached_only() -> None:
    links = link_cells(np.ones((4, *GRID), np.float32), radius=2, border=False).toarray().reshape(*GRID, *GRID)
    assert links[0, 0, 0, 1] == 0 and links[1, 1, 2, 0] == 1 and links[2, 0, 1, 1] == 1
    assert links[0, 1, 0, 2] == 1 and links[4, 7, 4, 8] == 1 and links[3, 8, 4, 8] == 0
    assert links[4, 4, 5, 4] == 1 and links[5, 4, 5, 5] == 0


def test_strengths_are_taken_to_a_power() -> None:
    strengths, rules = random_strengths(GRID, 3), Walk(over="cells", radius=3, power=2.5, squarings=1)
    expected = dense_links(strengths.astype(np.float64) ** 2.5, 3)
    assert np.allclose(rules.link(strengths).toarray(), expected, atol=1e-6)
    assert np.array_equal(rules.link(strengths, border=False).toarray() > 0, dense_links(strengths, 3, border=False) > 0)


# --- Steps ---


@pytest.mark.parametrize("steps", [1, 2, 8, 64, 256])
@pytest.mark.parametrize("border", [True, False])
def test_the_whole_is_a_power_of_a_dense_transition_matrix(steps: int, border: bool) -> None:
    strengths, maps = random_strengths(GRID, 3) ** 6, random_maps(GRID)
    [found] = walk([flat(maps)], [link_cells(strengths, radius=3, border=border)], steps)
    expected = dense_walk(flat(maps), dense_links(strengths, 3, border=border), steps)
    assert np.abs(found - expected).max() < 2e-6 and found.dtype == np.float32
    assert np.abs(found - flat(maps)).max() > 0.1


@pytest.mark.parametrize("steps", [1, 4, 256])
def test_constants_stay_as_they_are(steps: int) -> None:
    [found] = walk([np.full((1, 54), 0.37, np.float32)], [link_cells(random_strengths(GRID, 3), radius=3, border=False)], steps)
    assert np.allclose(found, 0.37, atol=1e-5)


def test_one_step_is_the_mean_of_a_cell_and_its_neighbours_by_strength() -> None:
    strengths = np.zeros((4, 1, 3), np.float32)
    strengths[0, 0] = (0.5, 0.25, 9)  # from the left cell to the middle, from there to the right, and beyond
    [found] = walk([np.array([[1, 0, 0.5]], np.float32)], [link_cells(strengths, radius=2, border=True)], 1)
    assert np.allclose(found, [[1 / 1.5, (0.5 + 0.125) / 1.75, 0.5 / 1.25]], atol=1e-6)


def test_a_wall_stops_the_walk() -> None:
    random = np.random.default_rng(0)
    side = np.arange(9) < 4 + np.zeros((6, 1))
    strengths = random.random((len(list_offsets(3)), *GRID), np.float32)
    for offset, one in zip(list_offsets(3), strengths, strict=True):
        here, there = split_pairs(side, offset)
        split_pairs(one, offset)[0][here != there] = 0
    [found] = walk([side[None].astype(np.float32).reshape(1, -1)], [link_cells(strengths, radius=3, border=True)], 256)
    assert np.allclose(found.reshape(GRID), side, atol=1e-5)


def test_where_everything_is_linked_all_become_the_mean_by_degree() -> None:
    maps, links = random_maps(GRID), link_cells(np.ones((12, *GRID), np.float32), radius=3, border=True)
    [found] = walk([flat(maps)], [links], 1024)
    degrees = links.toarray().sum(axis=0)
    assert degrees.min() < degrees.max()
    assert np.allclose(found, np.average(flat(maps), axis=1, weights=degrees)[:, None], atol=1e-5)


def test_a_mirror_image_has_a_mirrored_walk() -> None:
    features, maps = random_maps(GRID, 1, seed=1)[0], random_maps(GRID)

    def walked(features: Floats, maps: Floats) -> Floats:
        strengths = np.zeros((12, *GRID), np.float32)
        for offset, one in zip(list_offsets(3), strengths, strict=True):
            here, there = split_pairs(features, offset)
            split_pairs(one, offset)[0][...] = np.exp(-5 * abs(here - there))
        return walk([flat(maps)], [link_cells(strengths, radius=3, border=True)], 16)[0].reshape(maps.shape)

    assert np.allclose(walked(features[:, ::-1], maps[..., ::-1]), walked(features, maps)[..., ::-1], atol=1e-5)


def test_graphs_that_are_walked_on_together_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer_on_cpu(monkeypatch)
    grids, counts = [GRID, (1, 4), (7, 3)], [2, 5, 1]
    values = [flat(random_maps(grid, count, seed=count)) for grid, count in zip(grids, counts, strict=True)]
    links = [link_cells(random_strengths(grid, 3), radius=3, border=True) for grid in grids]
    together = walk(values, links, 8, device="cuda")
    for one, alone, before in zip(together, walk(values, links, 8), values, strict=True):
        assert one.shape == before.shape and one.dtype == np.float32 and np.allclose(one, alone, atol=1e-6)
    assert walk([], [], 8, device="cuda") == walk([], [], 8) == [] and asked == ["cuda", "cuda"]


# --- The polynomial ---


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 64, 256, 4096])
def test_polynomials_of_chebyshev_sum_to_a_power(steps: int) -> None:
    coefficients, places = expand_power(steps), np.linspace(-1, 1, 401)
    assert abs(sum(coefficients) - 1) < 2 * TOLERANCE
    assert np.abs(chebval(places, coefficients) - places**steps).max() < 2 * TOLERANCE


def test_many_steps_take_few_products() -> None:
    assert [len(expand_power(steps)) - 1 for steps in (1, 2, 64, 256)] == [1, 2, 42, 84]


# --- Cells or superpixels ---

REGIONS = np.array([[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 2, 2, 2, 2]], np.int32)


def test_pixels_beyond_the_image_are_in_no_superpixel() -> None:
    expected = [[1, 0, 0], [0, 1, 0], [0, 0.5, 0], [0.25, 0, 0.25], [0, 0, 0.5], [0, 0, 0.25]]
    assert share_cells(REGIONS, 2).toarray().tolist() == expected
    assert np.allclose(share_cells(REGIONS, 3).toarray() * 9, [[5, 2, 2], [0, 4, 2]])


def test_links_of_superpixels_are_sums_of_those_of_their_cells() -> None:
    links, shares = dense_links(random_strengths((2, 3), 2), 2), dense_shares(REGIONS, 2)
    found = join_nodes(link_cells(random_strengths((2, 3), 2), radius=2, border=True), share_cells(REGIONS, 2)).toarray()
    expected = np.zeros((3, 3))
    for one, other in np.ndindex(3, 3):
        expected[one, other] = sum(shares[a, one] * links[a, b] * shares[b, other] for a, b in np.ndindex(6, 6))
    assert np.allclose(found, expected, atol=1e-6)


def example(size: Size, stride: int, seed: int) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Maps of cells, strengths, and superpixels that do not follow cells."""
    grid, random = (-(-size[0] // stride), -(-size[1] // stride)), np.random.default_rng(seed)
    names = np.add.outer(5 * (np.arange(size[0]) // 5), np.arange(size[1]) // 6) + (random.random(size) < 0.1)
    regions = np.unique(names, return_inverse=True)[1].reshape(size).astype(np.int32)
    return random_maps(grid, 1 + seed, seed=seed), random_strengths(grid, 3, seed=seed), regions


def test_the_whole_between_cells_is_enlarged_to_pixels() -> None:
    rules = Walk(over="cells", radius=3, power=1.5, squarings=2)
    parts = [example((13, 22), 4, 1), example((9, 6), 3, 2)]
    links = [rules.link(strengths, border=False) for _, strengths, _ in parts]
    found = rules.diffuse([one[0] for one in parts], links, [one[2] for one in parts], strides=[4, 3], device="cpu")
    for (maps, strengths, regions), stride, made in zip(parts, (4, 3), found, strict=True):
        walked = dense_walk(flat(maps), dense_links(strengths**1.5, 3, border=False), 4).reshape(maps.shape)
        large = functional.interpolate(torch.from_numpy(walked)[None], scale_factor=stride, mode="bilinear", align_corners=False)[0]
        assert made.shape == (len(maps), *regions.shape) and made.dtype == np.float32
        assert np.allclose(made, large[:, : regions.shape[0], : regions.shape[1]], atol=1e-5)


def test_the_whole_between_superpixels_written_down_with_dense_matrices() -> None:
    rules = Walk(over="superpixels", radius=3, power=1.5, squarings=2)
    parts = [example((13, 22), 4, 1), example((9, 6), 3, 2)]
    links = [rules.link(strengths) for _, strengths, _ in parts]
    found = rules.diffuse([one[0] for one in parts], links, [one[2] for one in parts], strides=[4, 3], device="cpu")
    for (maps, strengths, regions), stride, made in zip(parts, (4, 3), found, strict=True):
        shares = dense_shares(regions, stride)
        means = flat(maps) @ shares / shares.sum(axis=0)
        walked = dense_walk(means, shares.T @ dense_links(strengths**1.5, 3) @ shares, 4)
        expected = np.zeros((len(maps), *regions.shape))
        for y, x in np.ndindex(regions.shape):
            expected[:, y, x] = walked[:, regions[y, x]]
        assert np.allclose(made, expected, atol=1e-5) and made.dtype == np.float32


def test_superpixels_of_one_cell_each_are_cells() -> None:
    maps, strengths = random_maps(GRID), random_strengths(GRID, 3)
    regions = np.arange(54, dtype=np.int32).reshape(GRID).repeat(4, axis=0).repeat(4, axis=1)
    rules = Walk(over="superpixels", radius=3, power=1, squarings=3)
    [found] = rules.diffuse([maps], [rules.link(strengths)], [regions], strides=[4], device="cpu")
    expected = dense_walk(flat(maps), dense_links(strengths, 3), 8).reshape(maps.shape)
    assert np.allclose(found, expected.repeat(4, axis=1).repeat(4, axis=2), atol=1e-5)


def test_no_squarings_are_one_step() -> None:
    maps, strengths = random_maps(GRID), random_strengths(GRID, 3)
    rules = Walk(over="cells", radius=3, power=1, squarings=0)
    [found] = rules.diffuse([maps], [rules.link(strengths)], [np.zeros(GRID, np.int32)], strides=[1], device="cpu")
    assert np.allclose(flat(found), dense_walk(flat(maps), dense_links(strengths, 3), 1), atol=1e-5)
