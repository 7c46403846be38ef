"""Networks that a learner uses as they are: nothing of a training changes them or keeps them."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Frozen, Learner, Trained, collect_columns
from seedbed.learning.optimisers import Scheduled, learned_parameters
from seedbed.learning.training import Training
from seedbed.run.machine import Machine
from tests.support.toys import Mixture, pictures, train

TRAINING = Training(
    seed=0, epochs=4.0, batch_size=4, micro_batches=2, precision="32-true", clip=1.0, clip_each=False, averaging=0.5
)  # 4 steps with 4 images
WEIGHT = torch.tensor([[1.0, -2.0, 0.5]])


def judge() -> nn.Sequential:
    """What another training might have left. In training mode its norm would follow the batches, and its dropout would draw at random."""
    linear = nn.Linear(3, 1)
    linear.load_state_dict({"weight": WEIGHT, "bias": torch.tensor([0.25])})
    return nn.Sequential(linear, nn.BatchNorm1d(1), nn.Dropout(0.5))


class Judged(Learner[Mixture, Batch]):
    """Learns colours that a frozen judge takes for the first class."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Mixture(3)
        self.judge = Frozen(judge())

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        answers = self.judge(self.network(batch.images_BCYX))[:, 0]
        return {"judged": nn.functional.binary_cross_entropy_with_logits(answers, batch.labels_BK[:, 1])}

    def optimizers(self) -> list[Scheduled]:
        return [Scheduled(torch.optim.SGD(learned_parameters(self), lr=0.5, momentum=0.9), lambda _: 1.0)]


def train_judged(learner: type[Judged] = Judged, *, file: Path, seconds: float = math.inf, devices: int = 1) -> Trained[Mixture]:
    """What a training leaves of four images."""
    machine, checkpoints = Machine("cpu", devices=devices), Checkpoints(file, seconds=seconds)
    return train(learner, pictures(4), TRAINING, machine=machine, checkpoints=checkpoints)


class Interrupted(Judged):
    """Does not do the last of four steps."""

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if progress > 0.5:
            raise KeyboardInterrupt
        return super().forward(batch, progress)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where checkpoints are kept."""
    return tmp_path / "training.safetensors"


def states_equal(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_training_leaves_a_frozen_network_as_it_was_and_learns_through_it(file: Path) -> None:
    made: list[Judged] = []

    class Kept(Judged):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    left = train_judged(Kept, file=file)
    [learner] = made
    assert states_equal(learner.judge.network, judge())
    assert not any(module.training for module in learner.judge.network.modules())
    assert all(one.grad is None and not one.requires_grad for one in learner.judge.network.parameters())
    torch.manual_seed(TRAINING.seed)
    assert not states_equal(left.network, Judged().network)  # which had no gradient but the one through the judge


def test_what_comes_from_a_frozen_network_is_what_it_answers_in_evaluation_mode() -> None:
    learner, colours = Judged().train(), torch.tensor([[1.0, 2.0, 4.0], [0.5, 0.0, 2.0]])
    # 1 - 4 + 2 + 0.25, and 0.5 + 1 + 0.25, of which a norm that has seen nothing changes only last digits
    assert learner.judge(colours)[:, 0].tolist() == pytest.approx([-0.75, 1.75], abs=1e-4)


def test_neither_checkpoints_nor_artifacts_nor_means_have_a_frozen_network(file: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_judged(Interrupted, file=file, seconds=0)
    loaded = Checkpoints(file, seconds=0).load()
    assert loaded is not None
    kept = {name for name in loaded[0] if not name.startswith("log.")}
    assert kept == {
        *("learner.network.mix.weight", "learner.network.mix.bias"),
        *("averaged.mix.weight", "averaged.mix.bias"),
        *("optimizer.0.0.momentum_buffer", "optimizer.0.1.momentum_buffer"),
    }
    assert not list(Frozen(judge()).state_dict()) and not list(Frozen(judge()).parameters()) and not list(Frozen(judge()).buffers())
    assert [name for name, _ in collect_columns(train_judged(file=file))["weights"]] == ["mix.weight", "mix.bias"]


def test_an_interrupted_training_with_a_frozen_network_comes_to_the_same_weights(file: Path, tmp_path: Path) -> None:
    whole = train_judged(file=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_judged(Interrupted, file=file, seconds=0)
    resumed = train_judged(file=file)
    assert resumed.log == whole.log and len(whole.losses) == 4
    assert states_equal(resumed.network, whole.network)


@pytest.mark.slow
def test_processes_that_share_a_batch_need_not_share_a_frozen_network(file: Path, tmp_path: Path) -> None:
    alone, shared = train_judged(file=tmp_path / "alone"), train_judged(file=file, devices=2)
    assert np.allclose(alone.losses, shared.losses, atol=1e-5)
    assert torch.allclose(alone.network.mix.weight, shared.network.mix.weight, atol=1e-5)


def test_a_frozen_network_moves_with_its_learner() -> None:
    learner = Judged().double()
    assert {value.dtype for value in learner.judge.network.parameters()} == {torch.float64}
    assert learner.judge.network[1].running_mean.dtype == torch.float64
    assert {value.device.type for value in Judged().to("meta").judge.network.state_dict().values()} == {"meta"}


def test_a_copy_of_a_learner_has_a_frozen_network_of_its_own() -> None:
    learner = Judged()
    other = copy.deepcopy(learner)
    assert other.judge.network is not learner.judge.network and states_equal(other.judge.network, learner.judge.network)
