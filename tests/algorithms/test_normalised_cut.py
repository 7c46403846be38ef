"""Normalised cuts, held against the dense solution of the generalised eigenproblem."""

from __future__ import annotations

from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence

from seedbed.algorithms import normalised_cut
from seedbed.algorithms.normalised_cut import bipartition, measure_cut

Floats = npt.NDArray[np.float64]


def start(count: int, *, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(count)


def dense(weights: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """The side without the first node, as commonly coded, and all eigenvalues."""
    degrees = np.diag(weights.sum(axis=1))
    values, vectors = linalg.eigh(degrees - weights, degrees)
    side = vectors[:, 1] > vectors[:, 1].mean()
    return (~side if side[0] else side), values


def transcribed_cut(weights: Floats, side: npt.NDArray[np.bool_]) -> float:
    """The paper's formula, weight by weight."""
    nodes = range(len(weights))
    cut = sum(weights[p, q] for p in nodes for q in nodes if side[p] and not side[q])
    first = sum(weights[p, q] for p in nodes for q in nodes if side[p])
    second = sum(weights[p, q] for p in nodes for q in nodes if not side[p])
    return float(cut / first + cut / second)


def clusters(count: int, *, seed: int, noise: float) -> Floats:
    """Weights between vectors that lie about a few directions."""
    random = np.random.default_rng(seed)
    vectors = np.eye(4)[random.integers(0, 3, count)] + noise * random.standard_normal((count, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(unit @ unit.T > 0.5, 1.0, 1e-5)


@given(st.integers(2, 90), st.integers(0, 1000))
def test_cuts_are_those_of_the_dense_solution_where_one_is_clearly_best(count: int, seed: int) -> None:
    weights = clusters(count, seed=seed, noise=0.5)
    found = bipartition(weights, start=start(count, seed=seed))
    side, values = dense(weights)
    if np.ptp(weights) == 0:
        assert not found.side.any()
    elif count == 2 or values[2] - values[1] > 1e-3:
        assert np.array_equal(found.side, side)
    assert found.value == measure_cut(weights, found.side)
    assert not found.side[0]


@pytest.mark.parametrize("count", [12, 60])
def test_the_next_cut_is_searched_for_from_the_third_vector_of_the_dense_solution(count: int) -> None:
    places = np.random.default_rng(3).random(count)
    weights = np.exp(-5 * abs(places[:, None] - places))
    degrees = np.diag(weights.sum(axis=1))
    values, vectors = linalg.eigh(degrees - weights, degrees)
    assert np.diff(values[1:4]).min() > 0.02
    following = bipartition(weights, start=start(count)).following
    cosine = following @ vectors[:, 2] / np.linalg.norm(following) / np.linalg.norm(vectors[:, 2])
    assert abs(cosine) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_where_several_cuts_are_about_as_good_the_value_is_that_of_the_dense_one(seed: int) -> None:
    weights = clusters(120, seed=seed, noise=0.05)  # three clusters that nearly nothing links
    found, (side, values) = bipartition(weights, start=start(120)), dense(weights)
    assert values[1:3].max() < 1e-4 < 0.5 < values[3]
    assert found.value < 1e-3 and measure_cut(weights, side) < 1e-3


@given(st.integers(2, 12), st.integers(0, 1000))
def test_the_value_of_a_cut_is_the_papers(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    drawn = random.random((count, count))
    side = np.arange(count) < random.integers(1, count)
    assert measure_cut(drawn + drawn.T, side) == pytest.approx(transcribed_cut(drawn + drawn.T, side))


def test_values_by_hand() -> None:
    weights = np.array([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])
    assert measure_cut(weights, np.array([False, False, True])) == pytest.approx(1 / 2 + 1 / 5)
    assert measure_cut(weights, np.zeros(3, bool)) == measure_cut(weights, np.ones(3, bool)) == 2


def test_where_the_search_starts_does_not_matter() -> None:
    weights = clusters(80, seed=4, noise=0.6)
    sides = {bipartition(weights, start=start(80, seed=seed)).side.tobytes() for seed in range(4)}
    assert len(sides) == 1


def test_a_device_multiplies_alike() -> None:
    weights = clusters(70, seed=4, noise=0.5)
    here, there = (bipartition(weights, start=start(70), device=device) for device in ("cpu", "cpu:0"))  # the latter as tensors
    assert np.array_equal(here.side, there.side)
    assert there.value == pytest.approx(here.value, rel=1e-12)


@pytest.mark.parametrize("count", [2, 40, 300])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_what_is_all_linked_alike_is_not_cut(count: int, weight: float) -> None:
    found = bipartition(np.full((count, count), weight), start=start(count))
    assert not found.side.any()
    assert found.value == 2


@pytest.mark.parametrize("failure", [ArpackNoConvergence("no convergence", np.zeros(0), np.zeros((50, 0))), ArpackError(-9)])
def test_a_search_that_finds_no_end_or_no_beginning_is_solved_as_a_whole(failure: ArpackError) -> None:
    weights = clusters(50, seed=2, noise=0.6)
    expected = bipartition(weights, start=start(50))
    with mock.patch.object(normalised_cut, "eigsh", side_effect=failure):
        found = bipartition(weights, start=start(50))
    assert np.array_equal(found.side, expected.side)
