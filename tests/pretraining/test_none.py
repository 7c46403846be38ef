"""No pretraining."""

from __future__ import annotations

from seedbed.learning.contract import TrainableMethod
from seedbed.pretraining.none import Nothing


def test_nothing_is_learned() -> None:
    assert Nothing().makes_nothing and not isinstance(Nothing(), TrainableMethod)
