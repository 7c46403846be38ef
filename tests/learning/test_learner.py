"""What a learner keeps from step to step: it is told once per step, whatever the micro-batches, and interruptions change nothing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner
from seedbed.learning.optimisers import Scheduled
from seedbed.learning.training import Training
from tests.support.toys import Mixture, pictures, train

STEPS = 5
TRAINING = Training(seed=0, epochs=5.0, batch_size=4, micro_batches=1, precision="32-true", clip=0.0, clip_each=False, averaging=0.0)


class Remembering(Learner[Mixture, Batch]):
    """Has a teacher, a running mean, and a bank of the last three steps' vectors, each of which the loss depends on."""

    bank: Tensor
    mean: Tensor
    steps: Tensor
    sums: Tensor

    def __init__(self, *, stop: float = math.inf) -> None:
        """stop: the number of the step that it does not finish."""
        super().__init__()
        self.network = Mixture(2)
        self.teacher = Mixture(2).requires_grad_(False)
        self.register_buffer("bank", torch.zeros(3, 2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("sums", torch.zeros(2), persistent=False)  # of the vectors of a step
        self.stop = stop
        self.progress: list[float] = []  # that it is told after steps

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        vectors = self.network(batch.images_BCYX)
        with torch.no_grad():
            self.sums += vectors.sum(dim=0)
            wanted = self.teacher(batch.images_BCYX) + self.bank.sum(dim=0) + self.mean
        return {"teacher": (vectors - wanted).square().mean()}

    def after_step(self, progress: float) -> None:
        self.progress.append(progress)
        with torch.no_grad():
            self.bank[self.steps % 3] = self.sums / TRAINING.batch_size
            self.mean.lerp_(self.sums / TRAINING.batch_size, 0.3)
            self.sums.zero_()
            for old, new in zip(self.teacher.parameters(), self.network.parameters(), strict=True):
                old.lerp_(new, 0.5)
        self.steps += 1
        if self.steps == self.stop:
            raise KeyboardInterrupt

    def optimizers(self) -> list[Scheduled]:
        return [Scheduled(torch.optim.SGD(self.network.parameters(), lr=0.2), lambda _: 1.0)]


def train_remembering(learner: Remembering, *, micro_batches: int, file: Path, seconds: float = math.inf) -> list[float]:
    """Losses of a training of four images."""
    torch.manual_seed(TRAINING.seed)
    learner.load_state_dict(Remembering().state_dict())  # weights that every training of these tests begins with
    training = dataclasses.replace(TRAINING, micro_batches=micro_batches)
    return list(train(learner, pictures(4), training, checkpoints=Checkpoints(file, seconds=seconds)).losses)


@pytest.mark.parametrize("micro_batches", [2, 4])
def test_what_is_kept_after_a_step_does_not_depend_on_its_parts(micro_batches: int, tmp_path: Path) -> None:
    plain, divided = Remembering(), Remembering()
    losses = train_remembering(plain, micro_batches=1, file=tmp_path / "plain")
    assert train_remembering(divided, micro_batches=micro_batches, file=tmp_path / "divided") == pytest.approx(losses, abs=1e-6)
    assert plain.progress == divided.progress == [step / STEPS for step in range(STEPS)]
    assert all(torch.allclose(value, divided.state_dict()[name], atol=1e-6) for name, value in plain.state_dict().items())
    assert len({tuple(row.tolist()) for row in plain.bank}) == 3 and plain.mean.abs().min() > 0


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_what_is_kept_after_a_step_survives_an_interruption_to_the_bit(micro_batches: int, stop: int, tmp_path: Path) -> None:
    whole, resumed, file = Remembering(), Remembering(), tmp_path / "training"
    losses = train_remembering(whole, micro_batches=micro_batches, file=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_remembering(Remembering(stop=stop + 1), micro_batches=micro_batches, file=file, seconds=0)
    assert train_remembering(resumed, micro_batches=micro_batches, file=file) == losses
    assert len(resumed.progress) == STEPS - stop
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
