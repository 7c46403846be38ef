"""Things told apart by the way to their middles, held against dense matrices and plain loops."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import skimage.measure

from seedbed.algorithms.random_walk import Walk
from seedbed.instances import irn
from seedbed.instances.irn import Irn, cut_maps, find_middles, follow_displacement
from seedbed.types import CellEdges, ClassMaps, Evidence, Instances
from tests.refinement.test_irn import linked
from tests.refinement.test_psa import known, resized, walked
from tests.support.evidence import evidence
from tests.support.oracles import photograph

METHOD = Irn(
    steps=7,
    weak_displacement=0.9,
    walk=Walk(over="cells", radius=3, power=1.5, squarings=2),
    background=0.35,
    smallest=0.02,
    most=4,
)
GRID, SIZE = (6, 10), (12, 20)


# --- The whole, once more ---


def middle_of(y: int, x: int, displacement: npt.NDArray[np.float32]) -> tuple[int, int]:
    """The cell at which one arrives in seven steps."""
    (_, rows, columns), place = displacement.shape, (float(y), float(x))
    for _ in range(7):
        corners = [(row(place[0]), column(place[1])) for row in (math.floor, math.ceil) for column in (math.floor, math.ceil)]
        step = np.zeros(2)
        for row, column in {*corners}:
            step += displacement[:, row, column] * (1 - abs(place[0] - row)) * (1 - abs(place[1] - column))
        place = (min(max(place[0] + step[0], 0), rows - 1), min(max(place[1] + step[1], 0), columns - 1))
    return round(place[0]), round(place[1])


def parted(method: Irn, one: Evidence) -> list[tuple[float, int, npt.NDArray[np.bool_]]]:
    """Score, class and pixels of every thing."""
    boundaries, displacement = one.edges.boundaries.astype(np.float64), one.edges.displacement
    rows, columns = boundaries.shape
    short = np.sqrt((displacement**2).sum(axis=0)) < 0.9
    around = skimage.measure.label(short, connectivity=1)
    middles = np.array([[around[middle_of(y, x, displacement)] for x in range(columns)] for y in range(rows)])
    values = resized(one.class_maps.maps, (rows, columns)) * (1 - boundaries)
    owners = [(name, number) for name in range(len(values)) for number in range(around.max() + 1)]
    cut = np.stack([values[name] * (middles == number) for name, number in owners])
    regions = one.regions if method.walk.over == "superpixels" else None
    scores = walked(cut, linked(boundaries), 4, regions, one.size)
    scores /= scores.max()
    best = np.concatenate([np.full((1, *one.size), 0.35), scores]).argmax(axis=0)
    found = []
    for place, (name, _) in enumerate(owners):
        parts = skimage.measure.label(best == 1 + place, connectivity=1)
        shapes = [parts == part for part in range(1, parts.max() + 1)]
        found += [(scores[place][shape].max(), one.class_maps.classes[name], shape) for shape in shapes if shape.mean() >= 0.02]
    return sorted(found, key=lambda thing: -thing[0])[:4]


def to_middles(grid: tuple[int, int], middles: list[tuple[int, int]], seed: int) -> npt.NDArray[np.float32]:
    """Half the way from each cell to the nearest middle, not exactly."""
    displacement = np.zeros((2, *grid), np.float32)
    for place in np.ndindex(grid):
        away = np.array(middles) - place
        displacement[(slice(None), *place)] = away[np.abs(away).sum(axis=1).argmin()] / 2
    return displacement + np.random.default_rng(seed).normal(0, 0.25, displacement.shape).astype(np.float32)


@pytest.mark.parametrize(("over", "together"), [("cells", 64), ("superpixels", 64), ("cells", 2)])
def test_the_whole_written_down_with_dense_matrices(over: Any, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(irn, "TOGETHER", together)
    method = dataclasses.replace(METHOD, walk=dataclasses.replace(METHOD.walk, over=over))
    several = [known((22, 33)), known((24, 17), ()), known((15, 40), (1, 3, 4), seed=1), known((40, 31), (5,), seed=2)]
    for seed, one in enumerate(several):
        rows, columns = one.edges.boundaries.shape
        ways = to_middles((rows, columns), [(1, 1), (rows - 2, columns - 2), (1, columns - 2)], seed)
        several[seed] = dataclasses.replace(one, edges=dataclasses.replace(one.edges, displacement=ways))
    numbers = []
    for one, made in zip(several, method.part(several), strict=True):
        expected = parted(method, one) if one.class_maps.classes else []
        numbers.append(len(expected))
        assert made.classes == tuple(thing[1] for thing in expected)
        assert np.allclose(made.scores, [thing[0] for thing in expected], atol=1e-5)
        drawn = np.zeros(one.size, np.uint8)
        for number, (_, _, shape) in enumerate(expected, 1):
            drawn[shape] = number
        assert np.array_equal(made.things, drawn) and made.things.dtype == np.uint8
    assert max(numbers) == {"cells": 4, "superpixels": 2}[over] and numbers[1] == 0


# --- Worlds with a known answer ---


def two_side_by_side() -> CellEdges:
    """Two things that a wall parts; each cell knows the way to the middle of its own."""
    boundaries, displacement = np.zeros(GRID, np.float32), np.zeros((2, *GRID), np.float32)
    boundaries[:, 5] = 1
    rows, columns = np.indices(GRID)
    displacement[0], displacement[1] = 3 - rows, np.where(columns < 5, 2, 7) - columns
    return CellEdges(boundaries, displacement, np.zeros((0, *GRID), np.float32), 2)


def filled(edges: CellEdges, maps: npt.NDArray[np.float32] | None = None) -> Evidence:
    """An image of two pixels a cell that class 3 fills, unless a map says otherwise."""
    given = np.ones((1, *GRID), np.float32) if maps is None else maps
    return evidence(photograph(SIZE), ClassMaps(classes=(3,), maps=given), edges=edges)


PLAIN = Irn(
    steps=100, weak_displacement=1.1, walk=Walk(over="cells", radius=2, power=1, squarings=3), background=0.25, smallest=0.01, most=9
)


def test_two_things_of_a_class_that_touch_are_told_apart() -> None:
    edges = two_side_by_side()
    maps = np.ones((1, *GRID), np.float32)
    maps[..., 5:] = 0.8
    [made] = PLAIN.part([filled(edges, maps)])
    assert made.classes == (3, 3) and 1 == made.scores[0] > made.scores[1] > 0.6
    assert (made.things[:, :9] == 1).all() and (made.things[:, 13:] == 2).all(), "the surest first"
    open_ = dataclasses.replace(edges, boundaries=np.zeros(GRID, np.float32))
    [made] = PLAIN.part([filled(open_, maps)])
    assert made.classes == (3, 3) and set(np.unique(made.things)) == {1, 2}, "without a wall too"


def test_without_displacement_what_is_connected_is_one_thing() -> None:
    edges = dataclasses.replace(two_side_by_side(), displacement=np.zeros((2, *GRID), np.float32))
    [made] = PLAIN.part([filled(dataclasses.replace(edges, boundaries=np.zeros(GRID, np.float32)))])
    assert made.classes == (3,) and made.scores == (1,) and (made.things == 1).all()
    maps = np.ones((1, *GRID), np.float32)
    maps[..., 3:7] = 0
    [made] = PLAIN.part([filled(edges, maps)])
    assert made.classes == (3, 3) and set(np.unique(made.things)) == {0, 1, 2}, "two parts that nothing connects"


def test_things_that_meet_at_a_corner_are_two() -> None:
    edges = dataclasses.replace(two_side_by_side(), displacement=np.zeros((2, *GRID), np.float32), boundaries=np.zeros(GRID, np.float32))
    maps = np.zeros((1, *GRID), np.float32)
    maps[:, :3, :5] = maps[:, 3:, 5:] = 1
    still = dataclasses.replace(PLAIN, walk=dataclasses.replace(PLAIN.walk, power=0, squarings=0, over="superpixels"))
    cells = (np.arange(SIZE[0])[:, None] // 2 * GRID[1] + np.arange(SIZE[1]) // 2).astype(np.int32)
    [made] = dataclasses.replace(still, background=0.6).part([dataclasses.replace(filled(edges, maps), regions=cells)])
    assert len(made.classes) == 2 and not (made.things[:4, 12:]).any()


def test_a_fragment_that_is_too_small_vanishes() -> None:
    edges = dataclasses.replace(two_side_by_side(), displacement=np.zeros((2, *GRID), np.float32))
    maps = np.ones((1, *GRID), np.float32)
    maps[..., 5:] = 0
    maps[0, 2, 8] = 1
    still = dataclasses.replace(PLAIN, walk=dataclasses.replace(PLAIN.walk, squarings=0), background=0.1)
    [made] = still.part([filled(edges, maps)])
    pixels = int((made.things == 2).sum())
    assert len(made.classes) == 2 and 4 <= pixels < 60
    for share, count in ((pixels / 240, 2), ((pixels + 0.5) / 240, 1)):
        [made] = dataclasses.replace(still, smallest=share).part([filled(edges, maps)])
        assert len(made.classes) == count and set(np.unique(made.things)) == {*range(count + 1)}


def test_of_more_things_than_are_kept_the_surest_stay() -> None:
    maps = np.ones((1, *GRID), np.float32)
    maps[..., :5] = 0.5
    [made] = dataclasses.replace(PLAIN, most=1).part([filled(two_side_by_side(), maps)])
    assert made.classes == (3,) and made.scores == (1,)
    assert (made.things[:, 13:] == 1).all() and not made.things[:, :9].any()


def test_maps_of_nothing_have_no_thing() -> None:
    nothing = filled(two_side_by_side(), np.zeros((1, *GRID), np.float32))
    walled = filled(dataclasses.replace(two_side_by_side(), boundaries=np.ones(GRID, np.float32)))
    for made in PLAIN.part([nothing, walled]):
        assert made.classes == made.scores == () and not made.things.any() and made.things.shape == SIZE
    assert Instances.empty(SIZE).things.shape == SIZE


# --- Its parts ---


def test_cells_follow_their_displacement_bilinearly_and_stay_in_the_image() -> None:
    displacement = np.zeros((2, 3, 5), np.float32)
    displacement[1, 1] = [0.5, 1, 0, 0, 9]
    displacement[0, 0, 0] = -4
    places = follow_displacement(displacement, steps=1)
    assert places[:, 0, 0].tolist() == [0, 0] and places[:, 1, 1].tolist() == [1, 2] and places[:, 1, 4].tolist() == [1, 4]
    assert places[:, 1, 0].tolist() == [1, 0], "a half is rounded to what is even"
    assert follow_displacement(displacement, steps=2)[:, 1, 0].tolist() == [1, 1], "0.5, then 0.75 of the way between"
    assert np.array_equal(follow_displacement(displacement, steps=0), np.indices((3, 5)))


def test_cells_that_arrive_at_no_middle_are_taken_together() -> None:
    displacement = np.zeros((2, 2, 6), np.float32)
    displacement[1] = [[1, 0, 0, 0, 1, 9]] * 2
    middles = find_middles(displacement, steps=1, weak=0.5)
    assert middles.tolist() == [[1, 1, 1, 1, 0, 0]] * 2 and middles.dtype == np.int32
    displacement[1, :, 2] = 0.5
    assert len(np.unique(find_middles(displacement, steps=0, weak=0.5))) == 3, "not shorter"


def test_maps_are_cut_to_the_cells_of_each_middle() -> None:
    values = np.array([[[0.5, 0, 0.25]], [[0, 0, 1]]], np.float32)
    maps, owners = cut_maps(values, (4, 7), np.array([[1, 2, 0]], np.int32))
    assert owners == [4, 4, 7] and maps.dtype == np.float32
    assert maps.tolist() == [[[0, 0, 0.25]], [[0.5, 0, 0]], [[0, 0, 1]]]
    maps, owners = cut_maps(values[:0], (), np.zeros((1, 3), np.int32))
    assert owners == [] and maps.shape == (0, 1, 3)


def test_superpixels_are_read_where_it_walks_between_them() -> None:
    assert METHOD.unread == ("superpixels",) and METHOD.extents == {"instance": 4}
    assert dataclasses.replace(METHOD, walk=dataclasses.replace(METHOD.walk, over="superpixels")).unread == ()
    extents = {"map_y": 7, "map_x": 9}
    assert METHOD.memory(extents) == METHOD.walk.memory(extents) > 0
