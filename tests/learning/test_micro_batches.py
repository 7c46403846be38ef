"""Batches in parts: computed one after another, or by several processes, they are the same training."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException

from seedbed.errors import MachineError, TrainingError
from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.loop import count_devices
from seedbed.learning.training import Training
from seedbed.run import interruption
from seedbed.run.launch import Launch
from seedbed.run.machine import Machine
from tests.support.toys import AUGMENTATION, PLAIN, PlainLearner, alike, pictures, train

FOUR = Training(seed=0, epochs=4.0, batch_size=4, **PLAIN)


class PartlyIdle(PlainLearner):
    """One of its weights has no gradient, as where a network keeps a part that is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.network.head.register_parameter("idle", nn.Parameter(torch.ones(2)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where checkpoints are kept."""
    return tmp_path / "training.safetensors"


@pytest.mark.parametrize("micro_batches", [2, 4])
def test_a_batch_in_parts_is_the_same_training(micro_batches: int) -> None:
    whole = train(PlainLearner, pictures(5), FOUR)
    in_parts = train(PlainLearner, pictures(5), dataclasses.replace(FOUR, micro_batches=micro_batches))
    assert alike(whole, in_parts)
    assert list(in_parts.log) == ["loss", "labels", "mean_logit", "learning_rate"]
    assert np.allclose(whole.log["mean_logit"], in_parts.log["mean_logit"], atol=1e-5)


def test_parts_divide_the_batch() -> None:
    with pytest.raises(ValueError, match="a number of micro_batches that divides batch_size, which is 4"):
        dataclasses.replace(FOUR, micro_batches=3)


@pytest.mark.parametrize(
    ("batch_size", "micro_batches", "available", "devices"),
    [(4, 1, 1, 1), (4, 1, 2, 2), (4, 1, 3, 2), (4, 2, 3, 2), (4, 4, 8, 1), (12, 2, 4, 3), (12, 3, 8, 4), (5, 1, 4, 1)],
)
def test_devices_share_a_part_of_a_batch_evenly(batch_size: int, micro_batches: int, available: int, devices: int) -> None:
    assert count_devices(dataclasses.replace(FOUR, batch_size=batch_size, micro_batches=micro_batches), available=available) == devices


def told(sample: Sample, random: np.random.Generator, *, folder: Path) -> Sample:
    """A view, with a file that says which process has drawn it."""
    (folder / str(os.getpid())).touch()
    return AUGMENTATION.view(sample, random)


# Of three processes, two have as much to do as each other.
@pytest.mark.slow
@pytest.mark.parametrize(("micro_batches", "devices"), [pytest.param(1, 2, marks=pytest.mark.slow), (2, 3)])
def test_processes_that_share_a_batch_do_the_same_training(micro_batches: int, devices: int, file: Path, tmp_path: Path) -> None:
    alone = train(PartlyIdle, pictures(5), FOUR)
    training, checkpoints = dataclasses.replace(FOUR, micro_batches=micro_batches), Checkpoints(file, seconds=math.inf)
    (tmp_path / "processes").mkdir()
    view, machine = partial(told, folder=tmp_path / "processes"), Machine("cpu", devices=devices)
    shared = train(PartlyIdle, pictures(5), training, view=view, machine=machine, checkpoints=checkpoints)
    assert alike(alone, shared)
    drawn = {int(one.name) for one in (tmp_path / "processes").iterdir()}
    assert len(drawn) == 2 and os.getpid() not in drawn
    assert len(shared.losses) == 5
    assert shared.network.state_dict()["head.idle"].tolist() == [1, 1]


class Failing(PlainLearner):
    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if progress > 0.5:
            raise TrainingError("test", found="trouble", expected="none", do="nothing")
        return super().forward(batch, progress)


@pytest.mark.slow
def test_a_process_that_fails_ends_the_training_in_one_line(file: Path) -> None:
    machine, checkpoints = Machine("cpu", devices=2), Checkpoints(file, seconds=math.inf)
    with pytest.raises(TrainingError, match=r"^test: found a process that failed: .*TrainingError: test: found trouble"):
        train(Failing, pictures(5), FOUR, machine=machine, checkpoints=checkpoints)


def test_that_the_other_processes_are_ended_is_not_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What torch does when one of several processes has failed: it warns of every other, ends it, and raises."""
    caplog.set_level(logging.WARNING, logger="torch.multiprocessing.spawn")  # as in a new process

    def fail(_: Callable[[], None]) -> None:
        logging.getLogger("torch.multiprocessing.spawn").warning("Terminating process %s via signal SIGTERM", 5)
        raise ProcessException("-- Process 1 terminated with the following error:\nthe last line", 1, 4)

    monkeypatch.setattr(interruption, "supervise", fail)
    with pytest.raises(TrainingError) as raised:
        train(PlainLearner, pictures(5), FOUR, machine=Machine("cpu", devices=2), checkpoints=Checkpoints(file, seconds=math.inf))
    assert str(raised.value) == "test: found a process that failed: the last line; expected all to finish; see above, or use one device"
    assert caplog.messages == []


def test_processes_that_do_not_divide_a_part_of_a_batch_are_refused(file: Path) -> None:
    machine, checkpoints = Machine("cpu", launch=Launch("torchrun", 0, 3, 3, 1)), Checkpoints(file, seconds=math.inf)
    with pytest.raises(MachineError) as raised:
        train(PlainLearner, pictures(5), dataclasses.replace(FOUR, batch_size=8, micro_batches=2), machine=machine, checkpoints=checkpoints)
    assert str(raised.value) == (
        "test: found 3 processes; expected a number that divides its 4 images per micro-batch; "
        "start 2, or change its batch_size or micro_batches in params.yaml"
    )
