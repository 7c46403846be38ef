"""What every pretraining promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed import methods
from seedbed.learning.contract import TrainableMethod
from seedbed.networks.contracts import Inherited
from seedbed.types import Image
from tests.support.learning import interrupted_halfway, trained

NAMES = methods.list_available("pretraining")
TRAINED = [name for name in NAMES if issubclass(methods.load("pretraining", name), TrainableMethod)]


@pytest.fixture
def images() -> Sequence[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (20 + number, 33, 3), dtype=np.uint8) for number in range(4)]


def test_some_train_and_some_do_not() -> None:
    assert TRAINED and set(TRAINED) < set(NAMES)


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_images_give_the_same_network(
    name: str, images: Sequence[Image], small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("pretraining", name)
    first, second = (trained(method, partial(method.learner, 0, given=Inherited()), images, tmp_path) for _ in range(2))
    state, again = first.network.state_dict(), second.network.state_dict()
    assert state and all(torch.equal(value, again[entry]) and value.isfinite().all() for entry, value in state.items())
    assert not first.network.training
    assert first.losses == second.losses


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("name", TRAINED)
def test_a_training_that_was_interrupted_comes_to_the_same_network(
    name: str, micro_batches: int, images: Sequence[Image], small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("pretraining", name)
    method = dataclasses.replace(method, training=dataclasses.replace(method.training, epochs=2.0, micro_batches=micro_batches))
    whole, resumed = interrupted_halfway(method, images, tmp_path)
    assert len(whole.losses) == 4 and resumed.log == whole.log
    states = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, states[1][entry]) for entry, value in states[0].items())
