"""A linear classifier of features."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seedbed.algorithms.logistic_regression import measure_held_out, solve
from seedbed.classifier.linear import Linear
from seedbed.errors import TrainingError
from seedbed.learning.samples import Described
from seedbed.types import Alignment, PatchFeatures
from tests.support.learning import NUM_CLASSES, described

METHOD = Linear(weight_decays=(1e-3, 0.03, 3.0), folds=3, standardised=True, seed=5)


@pytest.mark.parametrize(("standardised", "best"), [(True, 0.03), (False, 1e-3)])
def test_the_whole_is_the_solution_of_means_with_the_weight_decay_that_foretells_best(standardised: bool, best: float) -> None:
    examples = described(count=30)
    means = np.array([one.patches.values.reshape(-1, 4).mean(axis=0, dtype=np.float64) for one in examples])
    labels = np.array([one.labels[1:] for one in examples])
    losses = [
        measure_held_out(means, labels, weight_decay=each, standardised=standardised, folds=3, random=np.random.default_rng(5))
        for each in METHOD.weight_decays
    ]
    assert METHOD.weight_decays[int(np.argmin(losses))] == best
    expected = solve(means, labels, weight_decay=best, standardised=standardised)
    made = dataclasses.replace(METHOD, standardised=standardised).solve(NUM_CLASSES, examples)
    assert made.state["weight"] == pytest.approx(expected.weight, abs=1e-6)
    assert made.state["offset"] == pytest.approx(expected.offset, abs=1e-6)
    assert list(made.log) == ["loss", "weight_decay"]
    assert made.log["loss"] == pytest.approx(losses) and list(made.log["weight_decay"]) == [1e-3, 0.03, 3.0]


def test_of_fewer_images_than_parts_each_is_held_out_alone() -> None:
    examples = described(count=5)
    made, expected = (dataclasses.replace(METHOD, folds=folds).solve(NUM_CLASSES, examples) for folds in (9, 5))
    assert made.log["loss"] == expected.log["loss"]


def alike(difference: float) -> list[Described]:
    """Three images of patches of length 3, whose means lie this far from each other, the second in the middle; it is far from 0."""
    made = []
    for step in (-difference, 0, difference):
        values = np.zeros((5, 7, 4), np.float32)
        values[..., 0] = 3 * (-1) ** np.arange(35).reshape(5, 7)
        values[0, 0, 0] = 0  # so that as many are above as below
        values[..., 1] = step
        values[..., 2] = 0.3
        made.append(Described(PatchFeatures(values, 8, Alignment.RESIZED), np.array([True, step > 0, step < 0, True]), {}))
    return made


def test_means_that_are_nearly_the_same_are_refused_and_others_not() -> None:
    length = np.sqrt(9 * 34 / 35 + 0.09)
    assert METHOD.solve(NUM_CLASSES, alike(1.2e-3 * length))
    with pytest.raises(TrainingError, match="features whose mean is the same"):
        METHOD.solve(NUM_CLASSES, alike(0.8e-3 * length))


def test_centred_features_are_refused() -> None:
    centred = []
    for one in described():
        values = one.patches.values - one.patches.values.mean(axis=(0, 1))
        kept = values.astype(np.float16).astype(np.float32)  # as they are kept
        centred.append(Described(dataclasses.replace(one.patches, values=kept), one.labels, {}))
    expected = r"classifier.linear: found features whose mean is the same in every image; expected means that tell images apart; let the"
    with pytest.raises(TrainingError, match=expected):
        METHOD.solve(NUM_CLASSES, centred)
