"""The log of a training: figures of every step, and an end where the loss is none."""

from __future__ import annotations

import lightning_fabric
import pytest
import torch

from seedbed.errors import TrainingError
from seedbed.learning.log import BUFFERED, Log


def log_step(log: Log, loss: float, figure: float) -> None:
    """Keep the figures of one step of two micro-batches, of which the first has half the loss."""
    batches = [{"loss": torch.tensor(share * loss), "figure": torch.tensor(figure)} for share in (0.5, 1.5)]
    log.buffer(batches, rate=0.1, fabric=lightning_fabric.Fabric(accelerator="cpu", devices=1))
    log.flush_buffer()


def test_figures_are_means_over_micro_batches() -> None:
    log = Log("test", {})
    log_step(log, 2.0, 5.0)
    log_step(log, 3.0, 7.0)
    assert log.figures == {"loss": [2, 3], "figure": [5, 7], "learning_rate": [pytest.approx(0.1)] * 2}
    assert len(log) == 2 and log.recent_loss() == 2.5


def test_steps_wait_until_there_are_enough_to_fetch() -> None:
    log = Log("test", {})
    assert log.recent_loss() is None
    for number in range(BUFFERED):
        assert not log.full
        log.buffer([{"loss": torch.tensor(float(number))}], rate=0.1, fabric=lightning_fabric.Fabric(accelerator="cpu", devices=1))
        assert len(log) == 0 and log.recent_loss() is None
    assert log.full
    log.flush_buffer()
    assert not log.full and log.figures["loss"] == list(range(BUFFERED))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_only_a_loss_that_is_none_ends_a_training(value: float) -> None:
    log = Log("test", {})
    log_step(log, 1.0, value)
    with pytest.raises(TrainingError, match=f"^test, step 1: found a loss of {value}; expected a finite number; lower its learning_rate"):
        log_step(log, value, 1.0)
