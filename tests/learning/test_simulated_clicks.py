"""Clicks that somebody might make."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from seedbed.learning.simulated_clicks import Simulation

USUAL = Simulation(most=5, another=0.8, eroded=1.0, erosion=2, least=10, near=1.0, margin=0.2, rounds=3, threshold=0.4, depth=0.5)
SIZE = (24, 30)


def simulation(**changes: Any) -> Simulation:
    return dataclasses.replace(USUAL, **changes)


def mask() -> np.ndarray[Any, np.dtype[np.bool_]]:
    made = np.zeros(SIZE, np.bool_)
    made[4:16, 5:20] = True
    return made


MASK = mask()


def places_of(simulation: Simulation, wanted: bool, mask: Any = None) -> set[tuple[int, int]]:
    """Where clicks of a kind lie, over many draws."""
    random, found = np.random.default_rng(0), set[tuple[int, int]]()
    for _ in range(2500):
        found |= {(row, column) for row, column in simulation.begin(MASK if mask is None else mask, random)[0 if wanted else 1].tolist()}
    return found - {(-1, -1)}


def pixels(mask: Any) -> set[tuple[int, int]]:
    return {(row, column) for row, column in np.argwhere(mask).tolist()}


def test_wanted_clicks_are_in_the_mask_away_from_its_border() -> None:
    inner = np.zeros(SIZE, np.bool_)
    inner[6:14, 7:18] = True
    assert places_of(simulation(), True) == pixels(inner)
    assert places_of(simulation(erosion=0), True) == places_of(simulation(eroded=0), True) == pixels(MASK)
    assert places_of(simulation(eroded=0.5), True) == pixels(MASK)


@pytest.mark.parametrize("least", [8 * 11 - 1, 8 * 11])
def test_where_too_little_is_left_they_are_anywhere_in_it(least: int) -> None:
    assert (places_of(simulation(least=least), True) == pixels(MASK)) == (least == 8 * 11)


def test_others_are_beside_it_near_or_anywhere() -> None:
    reach = 3  # of the root of 180 pixels a fifth, rounded up
    ring = ndimage.binary_dilation(MASK, np.ones((3, 3), np.bool_), iterations=reach) & ~MASK
    assert places_of(simulation(), False) == pixels(ring)
    everywhere = places_of(simulation(near=0), False)
    assert everywhere <= pixels(~MASK) and len(everywhere) > 0.99 * (~MASK).sum()
    assert places_of(simulation(margin=0), False) == set()


def test_where_nothing_is_wanted_clicks_are_beside_it() -> None:
    empty = np.zeros(SIZE, np.bool_)
    assert places_of(simulation(near=0.5), True, empty) == set()
    assert len(places_of(simulation(near=0.5), False, empty)) > 0.99 * empty.size


def test_further_clicks_are_ever_less_likely() -> None:
    random, counts = np.random.default_rng(0), []
    for _ in range(4000):
        begun = simulation(near=0).begin(MASK, random)
        counts.append((begun[..., 0] >= 0).sum(axis=1))
        assert ((begun[..., 0] >= 0) == (begun[..., 1] >= 0)).all()
    wanted, unwanted = np.array(counts).T
    for found, first, most in ((wanted, 1, 4), (unwanted, 0, 5)):
        likely = 0.8 ** np.arange(most + 1)
        assert np.bincount(found, minlength=6)[first:] / 4000 == pytest.approx(likely / likely.sum(), abs=0.025)
    assert (simulation(another=1e-9).begin(MASK, random)[..., 0] >= 0).sum(axis=1).tolist() == [1, 0]


def answer(value: float, *boxes: tuple[slice, slice]) -> Any:
    made = np.zeros(SIZE, np.float32)
    for each in boxes:
        made[each] = value
    return made


NONE = np.full((2, 5, 2), -1, np.int32)


def test_the_next_click_is_deep_in_what_is_most_wrong_and_stands_at_the_end() -> None:
    random = np.random.default_rng(0)
    for number in range(3):
        rows, columns = set[int](), set[int]()
        for _ in range(300):
            after = simulation().go_on(NONE, MASK, answer(0.9), number, random)  # all of 12 x 15 pixels is missed: the deepest is 6 away
            row, column = after[0, 4 - number].tolist()
            rows.add(row)
            columns.add(column)
            assert (after >= 0).sum() == 2
        assert (rows, columns) == ({*range(7, 13)}, {*range(8, 17)}), "deeper than 3"


def test_it_is_beside_the_mask_where_that_is_as_wrong() -> None:
    whole = (slice(4, 16), slice(5, 20))
    same = answer(0.9, whole, (slice(20, 24), slice(0, 4)))
    same[4:8, 5:9] = 0  # four by four pixels are missed, as many are too much
    after = simulation().go_on(NONE, MASK, same, 0, np.random.default_rng(0))
    assert (after[0] < 0).all() and after[1, 4, 0] in (21, 22)
    assert (simulation().go_on(NONE, MASK, answer(0.9, whole), 0, np.random.default_rng(0)) == NONE).all(), "nothing is wrong"


def test_answers_of_the_threshold_are_neither() -> None:
    random = np.random.default_rng(0)
    assert (simulation(threshold=0.5).go_on(NONE, MASK, np.full(SIZE, 0.5, np.float32), 0, random) == NONE).all()
    assert (simulation(threshold=0.6).go_on(NONE, MASK, np.full(SIZE, 0.5, np.float32), 0, random)[0, 4] >= 0).all()


def test_what_stood_there_is_replaced_and_the_rest_kept() -> None:
    random = np.random.default_rng(0)
    full = np.arange(20, dtype=np.int32).reshape(2, 5, 2) % 20
    before = full.copy()
    after = simulation().go_on(full, MASK, answer(0.9), 1, random)
    assert (full == before).all() and (after[1] == full[1]).all() and (after[0, [0, 1, 2, 4]] == full[0, [0, 1, 2, 4]]).all()
    assert after[0, 3].tolist() != full[0, 3].tolist()


def test_there_are_places_for_all_rounds() -> None:
    with pytest.raises(ValueError, match="no more rounds than clicks, of which there are at most 5"):
        simulation(rounds=6)
