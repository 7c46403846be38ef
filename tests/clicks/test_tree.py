"""Clicks that select regions of a merge tree."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Click, ClickTree, Mask
from seedbed.clicks.tree import Tree
from seedbed.types import Alignment

VALUES = [[0, 0.1, 5, 5.1, 20, 20.1]]  # of six patches in a row: three pairs, of which the first two are nearer to each other


@pytest.fixture
def regions() -> ClickTree:
    """A row of patches of two pixels."""
    vectors = np.array(VALUES, np.float32).reshape(-1, 1)
    return ClickTree.on_pixels(ward.merge(vectors, ward.link_grid((1, 6))), (1, 6), 2, Alignment.PADDED, (2, 12))


NOTHING = np.zeros((2, 12), np.bool_)


def selected(
    regions: ClickTree, *columns: int, beside: tuple[int, ...] = (), cost: float = 0.01, joined: bool = False, start: Mask = NOTHING
) -> list[int]:
    """Patches of which all pixels are selected by clicks in the middle of some."""
    given = [*(Click(1, 2 * column, True) for column in columns), *(Click(1, 2 * column, False) for column in beside)]
    mask = Tree(cost=cost, joined=joined).select(regions, given, start=start)
    return [patch for patch in range(6) if mask[regions.patches == patch].all()]


@pytest.mark.parametrize(("cost", "expected"), [(0, [1]), (0.01, [0, 1]), (0.06, [0, 1, 2, 3]), (1, [0, 1, 2, 3, 4, 5])])
def test_a_click_takes_the_largest_region_that_no_dear_merge_has_made(regions: ClickTree, cost: float, expected: list[int]) -> None:
    assert (regions.tree.costs / regions.tree.costs.sum()).round(3).tolist() == [0, 0, 0, 0.058, 0.942]
    assert selected(regions, 1, cost=cost) == expected


def test_what_was_merged_for_nothing_is_taken_at_any_cost() -> None:
    vectors = np.array([1, 1, 9, 9], np.float32)[:, None]
    regions = ClickTree.on_pixels(ward.merge(vectors, ward.link_grid((1, 4))), (1, 4), 2, Alignment.PADDED, (2, 8))
    assert Tree(cost=0, joined=False).select(regions, [Click(0, 0, True)], start=NOTHING[:, :8]).tolist() == [[True] * 4 + [False] * 4] * 2


def test_clicks_select_what_each_of_them_does(regions: ClickTree) -> None:
    assert selected(regions, 0, 5) == [0, 1, 4, 5]


def test_a_click_beside_parts_what_has_it(regions: ClickTree) -> None:
    assert selected(regions, 0, beside=(3,), cost=0.1) == [0, 1]
    assert selected(regions, 0, beside=(1,), cost=0.1) == [0]
    assert selected(regions, 0, beside=(5,), cost=0.1) == [0, 1, 2, 3]


def test_two_clicks_select_the_smallest_region_that_holds_both(regions: ClickTree) -> None:
    assert selected(regions, 0, 2, cost=0, joined=True) == [0, 1, 2, 3]
    assert selected(regions, 0, 2, cost=0, beside=(3,), joined=True) == [0, 2], "it has what is not wanted"
    assert selected(regions, 0, 1, 5, cost=0, joined=True) == [0, 1, 2, 3, 4, 5], "of three, each with the nearest"


def test_a_patch_with_clicks_of_both_kinds_is_selected_but_for_the_pixels_that_are_not_wanted(regions: ClickTree) -> None:
    mask = Tree(cost=0.01, joined=False).select(regions, [Click(0, 0, True), Click(1, 1, False)], start=NOTHING)
    assert mask[:, :2].tolist() == [[True, True], [True, False]] and not mask[:, 2:].any()


# Clicks that correct a mask.


def test_what_is_not_clicked_on_stays_as_it_was(regions: ClickTree) -> None:
    start = regions.mask([2, 4])
    assert Tree(cost=0.1, joined=False).select(regions, [], start=start).tolist() == start.tolist()
    assert selected(regions, 0, start=start) == [0, 1, 2, 4]


def test_a_click_beside_takes_the_largest_region_away_that_no_dear_merge_has_made(regions: ClickTree) -> None:
    start, beside = regions.mask([0, 1, 2, 5]), Click(1, 5, False)
    for cost, left in ((0, [0, 1, 5]), (0.06, [5]), (1, [])):
        mask = Tree(cost=cost, joined=False).select(regions, [beside], start=start)
        assert [patch for patch in range(6) if mask[regions.patches == patch].all()] == left
        assert not mask[:, 4:6].any()


def test_a_click_beside_takes_nothing_away_that_is_clicked_on(regions: ClickTree) -> None:
    start = regions.mask([0, 1, 2, 3])
    assert selected(regions, 0, beside=(2,), cost=1, start=start) == [0, 1]
    assert selected(regions, 3, beside=(2,), cost=1, start=start) == [0, 1, 3]
    assert start.sum() == 16, "it is left as it was"


def select_plainly(regions: ClickTree, given: list[Click], *, cost: float, joined: bool, start: Mask) -> list[list[bool]]:
    """The same with regions as sets of patches, and without an order of any."""
    count, (height, width) = regions.tree.num_vectors, regions.patches.shape
    sets = [{patch} for patch in range(count)]
    for one, other in regions.tree.children.tolist():
        sets.append(sets[one] | sets[other])
    costs = [0.0] * count + [float(one) for one in regions.tree.costs]
    at = [(int(regions.patches[click.row, click.column]), click.wanted) for click in given]
    against, towards = ({patch for patch, wanted in at if wanted == kind} for kind in (False, True))
    chosen: set[int] = set()
    refused: set[int] = set()
    before: list[int] = []
    for patch, wanted in at:
        around = sorted((region for region in range(len(sets)) if patch in sets[region]), key=lambda region: len(sets[region]))
        taken = around[0]
        for region in around[1:]:
            if costs[region] > cost * sum(costs) or sets[region] & (against if wanted else towards):
                break
            taken = region
        if not wanted:
            refused |= sets[taken]
            continue
        chosen |= sets[taken]
        if joined and before:
            both = next(region for region in around if sets[region] & set(before))
            if not sets[both] & against:
                chosen |= sets[both]
        before.append(patch)
    mask = [[bool(start[row, column]) for column in range(width)] for row in range(height)]
    for row in range(height):
        for column in range(width):
            patch = int(regions.patches[row, column])
            mask[row][column] = patch in chosen or (mask[row][column] and patch not in refused)
    for click in given:
        mask[click.row][click.column] = click.wanted
    return mask


@pytest.mark.parametrize("corrects", [True, False])
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("cost", [0.0, 0.02, 0.1])
def test_the_whole_selection_is_the_same_written_down_plainly(cost: float, joined: bool, corrects: bool) -> None:
    random, sizes = np.random.default_rng(3), set[int]()
    for _ in range(30):
        vectors = random.standard_normal((35, 2)).astype(np.float32)
        regions = ClickTree.on_pixels(ward.merge(vectors, ward.link_grid((5, 7))), (5, 7), 2, Alignment.RESIZED, (9, 13))
        given = [
            Click(int(random.integers(9)), int(random.integers(13)), number == 0 or bool(random.random() < 0.6)) for number in range(5)
        ]
        start = random.random((9, 13)) < 0.5 * corrects
        selected = Tree(cost=cost, joined=joined).select(regions, given, start=start)
        assert selected.tolist() == select_plainly(regions, given, cost=cost, joined=joined, start=start)
        sizes.add(int(selected.sum()))
    assert len(sizes) > 5
