"""How optimisers are told to go on: rates that rise and fall, and what is decayed."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from seedbed.learning.optimisers import Optimiser
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


# --- Either optimiser, with a rule for biases ---

EITHER = Optimiser(
    kind="sgd",
    learning_rate=0.2,
    new_layer_factor=10,
    bias_factor=2,
    momentum=0.7,
    weight_decay=0.03,
    decayed="matrices",
    warmup=0.2,
    decay="cosine",
    power=1,
    last_learning_rate=0.02,
    decay_starts="after_warmup",
)


def layers() -> tuple[nn.Module, nn.Module]:
    """A backbone with a norm and a token, and new layers."""
    backbone = nn.Sequential(nn.Conv2d(3, 4, kernel_size=1), nn.BatchNorm2d(4))
    backbone.register_parameter("token", nn.Parameter(torch.zeros(1, 1, 4)))
    return backbone, nn.Linear(4, 2)


def groups(descent: Optimiser) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every weight."""
    backbone, head = layers()
    names = {id(one): f"{where}{name}" for where, part in (("", backbone), ("new.", head)) for name, one in part.named_parameters()}
    found = [(names[id(one)], group) for group in descent.schedule(backbone, head).optimizer.param_groups for one in group["params"]]
    assert len(found) == len(names) == 7
    return {name: (round(group["lr"], 6), group["weight_decay"]) for name, group in found}


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_biases_and_new_layers_have_their_own_rates_and_matrices_alone_decay(kind: Literal["sgd", "adam", "adamw"]) -> None:
    assert groups(dataclasses.replace(EITHER, kind=kind)) == {
        "0.weight": (0.2, 0.03),
        "0.bias": (0.4, 0.0),
        "1.weight": (0.2, 0.0),
        "1.bias": (0.4, 0.0),
        "token": (0.2, 0.0),
        "new.weight": (2.0, 0.03),
        "new.bias": (4.0, 0.0),
    }


def test_all_weights_may_decay() -> None:
    assert {decay for _, decay in groups(dataclasses.replace(EITHER, decayed="all")).values()} == {0.03}


def test_what_is_frozen_is_left_out() -> None:
    backbone, head = layers()
    head.requires_grad_(False)
    assert sum(len(group["params"]) for group in EITHER.schedule(backbone, head).optimizer.param_groups) == 5


def test_every_optimiser_has_the_momentum() -> None:
    kinds: tuple[Literal["sgd", "adam", "adamw"], ...] = ("sgd", "adam", "adamw")
    sgd, adam, adamw = (dataclasses.replace(EITHER, kind=kind).schedule(*layers()).optimizer for kind in kinds)
    assert isinstance(sgd, torch.optim.SGD) and {group["momentum"] for group in sgd.param_groups} == {0.7}
    assert type(adam) is torch.optim.Adam and {group["betas"] for group in adam.param_groups} == {(0.7, 0.999)}
    assert type(adamw) is torch.optim.AdamW and {group["betas"] for group in adamw.param_groups} == {(0.7, 0.999)}


@pytest.mark.parametrize("power", [1, 2.5])
@pytest.mark.parametrize("starts", ["at_once", "after_warmup"])
@pytest.mark.parametrize("decay", ["cosine", "polynomial"])
def test_the_rate_falls_to_the_last_one(
    decay: Literal["cosine", "polynomial"], starts: Literal["at_once", "after_warmup"], power: float
) -> None:
    descent = dataclasses.replace(EITHER, decay=decay, power=power, decay_starts=starts)
    for progress in (0.0, 0.1, 0.2, 0.5, 0.9, 1.0):
        begin = 0.2 if starts == "after_warmup" else 0.0
        done = max(0.0, progress - begin) / (1 - begin)
        left = (1 - done if decay == "polynomial" else (1 + math.cos(math.pi * done)) / 2) ** power
        rise = max(1e-3, progress / 0.2) if progress < 0.2 else 1.0
        assert 0.2 * descent.factor(progress) == pytest.approx(rise * (0.02 + 0.18 * left))
    assert 0.2 * descent.factor(1.0) == pytest.approx(0.02)


def test_without_what_is_new_it_is_the_plain_descent() -> None:
    either = dataclasses.replace(EITHER, decay="polynomial", last_learning_rate=0, power=0.9)
    assert [either.factor(one) for one in np.linspace(0, 1, 51)] == [DESCENT.factor(one) for one in np.linspace(0, 1, 51)]


def test_a_rate_that_would_rise_in_the_end_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"a last_learning_rate no higher than learning_rate, which is 0\.2"):
        dataclasses.replace(EITHER, last_learning_rate=0.3)
