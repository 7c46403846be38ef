"""What every pretraining promises."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed import methods
from seedbed.learning.checkpoints import Checkpoints
from seedbed.run.machine import Machine

NAMES = methods.list_available("pretraining")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_images_give_the_same_network_or_none(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (20 + number, 33, 3), dtype=np.uint8) for number in range(4)]
    method, checkpoints = small_method("pretraining", name), Checkpoints(tmp_path / "one", seconds=math.inf)
    first, second = (method.learn(images, machine=Machine("cpu"), checkpoints=checkpoints) for _ in range(2))
    if first is None:
        assert second is None
        return
    state, again = first.network.state_dict(), second.network.state_dict()
    assert state and all(torch.equal(value, again[name]) and value.isfinite().all() for name, value in state.items())
    assert not first.network.training
    assert first.losses == second.losses
