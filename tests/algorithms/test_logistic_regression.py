"""Logistic regression, held against Newton's method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.algorithms.logistic_regression import choose_weight_decay, measure_held_out, solve
from seedbed.types import LinearHead

Floats = npt.NDArray[np.float64]
RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.standard_normal((50, 6)) * [1, 2, 0.1, 1, 5, 1] + [0, 3, 0, -1, 0, 2]
LABELS = np.stack(
    [VECTORS[:, 0] + 0.5 * RANDOM.standard_normal(50) > 0, VECTORS[:, 1] + VECTORS[:, 5] > 6, RANDOM.random(50) < 0.2], axis=1
)


def newton(vectors: Floats, truth: npt.NDArray[np.bool_], weight_decay: float) -> Floats:
    """Weights and offset of one label, step after step."""
    inputs = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
    decay = weight_decay * np.diag([*np.ones(vectors.shape[1]), 0])
    found = np.zeros(inputs.shape[1])
    for _ in range(60):
        probabilities = 1 / (1 + np.exp(-inputs @ found))
        gradient = inputs.T @ (probabilities - truth) / len(vectors) + decay @ found
        curvature = (inputs.T * (probabilities * (1 - probabilities))) @ inputs / len(vectors) + decay
        found = found - np.linalg.solve(curvature, gradient)
    return found


@pytest.mark.parametrize("weight_decay", [0.01, 0.3])
@pytest.mark.parametrize("standardised", [False, True])
def test_the_solution_is_newton_s(weight_decay: float, standardised: bool) -> None:
    head = solve(VECTORS, LABELS, weight_decay=weight_decay, standardised=standardised)
    mean, deviation = VECTORS.mean(axis=0), VECTORS.std(axis=0) if standardised else np.ones(6)
    for label in range(3):
        found = newton((VECTORS - mean) / deviation, LABELS[:, label], weight_decay)
        expected = (VECTORS - mean) / deviation @ found[:-1] + found[-1]
        assert head.score(VECTORS.astype(np.float32))[:, label] == pytest.approx(expected, abs=2e-4)
        assert head.weight[label] == pytest.approx(found[:-1] / deviation, rel=1e-3, abs=1e-5)


def test_a_channel_that_does_not_vary_says_nothing() -> None:
    still = np.concatenate([VECTORS, np.full((50, 1), 7.0)], axis=1)
    with_it, without = (solve(one, LABELS, weight_decay=0.1, standardised=True) for one in (still, VECTORS))
    assert with_it.weight[:, :-1] == pytest.approx(without.weight, abs=1e-5)
    scores = with_it.score(still.astype(np.float32)), without.score(VECTORS.astype(np.float32))
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.mark.parametrize(("folds", "standardised"), [(2, True), (7, False), (50, True)])
def test_what_is_held_out_has_no_part_in_its_solution(folds: int, standardised: bool) -> None:
    order, total = np.random.default_rng(3).permutation(50), 0.0
    for fold in range(folds):
        held = order[fold::folds]
        rest = np.setdiff1d(np.arange(50), held)
        logits = solve(VECTORS[rest], LABELS[rest], weight_decay=0.2, standardised=standardised).score(VECTORS[held].astype(np.float32))
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
        total -= np.log(np.where(LABELS[held], probabilities, 1 - probabilities)).sum()
    found = measure_held_out(VECTORS, LABELS, weight_decay=0.2, standardised=standardised, folds=folds, random=np.random.default_rng(3))
    assert found == pytest.approx(total / 50, rel=1e-6)


def test_of_weight_decays_the_best_is_chosen_and_of_equal_ones_the_largest() -> None:
    assert choose_weight_decay([1e-3, 0.1, 1, 10], [0.5, 0.3, 0.3, 0.4]) == 1
    assert choose_weight_decay([1, 0.1], [0.5, 0.3]) == 0.1


def test_a_layer_scores_vectors_of_any_grid() -> None:
    head = LinearHead(np.array([[1, 2], [0, -1], [3, 0]], np.float32), np.array([0.5, 0, -1], np.float32))
    values = np.array([[[1, 1], [0, 2]]], np.float32)
    assert head.score(values).tolist() == [[[3.5, -1, 2], [4.5, -2, -1]]]
