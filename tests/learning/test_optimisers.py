"""How optimisers are told to go on: rates that rise and fall, and what is decayed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seedbed.learning.training import Training
from tests.support.toys import DESCENT, PLAIN, LineLearner, pictures, train


def test_the_rate_rises_then_falls_to_almost_nothing() -> None:
    factors = [DESCENT.factor(progress) for progress in np.linspace(0, 1, 101)]
    top = int(np.argmax(factors))
    assert top == 20 and factors[top] == 1
    assert 0 < factors[0] < 0.01
    assert all(np.diff(factors[: top + 1]) > 0) and all(np.diff(factors[top:]) < 0)
    assert factors[60] == pytest.approx(0.5**0.9)
    assert factors[100] == 0


def test_the_polynomial_may_fall_throughout() -> None:
    """As the work writes it: (1 - it/max)^power, which the warm-up multiplies."""
    throughout = dataclasses.replace(DESCENT, decay_starts="at_once")
    for progress in np.linspace(0, 1, 101):
        rise = max(1e-3, progress / 0.2) if progress < 0.2 else 1
        assert throughout.factor(progress) == pytest.approx(rise * (1 - progress) ** 0.9)
    assert DESCENT.factor(0.5) / throughout.factor(0.5) == pytest.approx(1.22, abs=0.01)
    alike = dataclasses.replace(throughout, warmup=0.0), dataclasses.replace(DESCENT, warmup=0.0)
    assert alike[0].factor(0.3) == alike[1].factor(0.3)


def test_without_a_warm_up_the_rate_begins_at_its_highest() -> None:
    assert dataclasses.replace(DESCENT, warmup=0.0).factor(0.0) == 1


def test_without_a_power_the_rate_stays() -> None:
    assert dataclasses.replace(DESCENT, warmup=0.0, power=0.0).factor(0.99) == 1


def test_new_layers_learn_faster_by_their_factor_and_both_follow_the_schedule() -> None:
    learner = LineLearner()
    train(learner, pictures(5), Training(seed=0, epochs=4.0, batch_size=2, **PLAIN))
    assert [progress for _, progress in learner.seen] == pytest.approx([step / 10 for step in range(10)])
    expected = [[0.1 * DESCENT.factor(step / 10), DESCENT.factor(step / 10)] for step in range(10)]
    assert np.allclose(learner.rates, expected)


def test_momentum_and_weight_decay_are_what_they_are_called() -> None:
    [scheduled] = LineLearner(descent=dataclasses.replace(DESCENT, momentum=0.8, weight_decay=0.01)).optimizers()
    assert all(group["momentum"] == 0.8 and group["weight_decay"] == 0.01 for group in scheduled.optimizer.param_groups)
