"""Checkpoints: an interrupted training comes to the same weights and losses, to the bit."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner, Trained
from seedbed.learning.loop import fit
from seedbed.learning.optimisers import Scheduled
from seedbed.learning.training import Sampling, Training
from tests.support.toys import AUGMENTATION, DESCENT, MACHINE, PLAIN, Line, LineLearner, PlainLearner, alike, pictures, train

PROJECT = Path(__file__).parents[2]
IN_PASSING = Training(
    seed=3, epochs=4.2, batch_size=3, **PLAIN
)  # 7 steps with 5 images: batches begin in the middle of passes, and cross them
STEPS = 7
FOUR = Training(seed=0, epochs=4.0, batch_size=4, **PLAIN)


class Counting(torch.optim.Optimizer):
    """Remembers what is no tensor."""

    def __init__(self, parameters: Iterator[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["count"] = state.get("count", 0) + 1
                state["size"] = state.get("size", 0.0) / 3 + float(parameter.grad.abs().mean())
                state["nothing"] = None
                parameter.sub_(parameter.grad * group["lr"] / (state["count"] + state["size"]))
        return None


class Tied(Line):
    """A normalisation, and a layer that is used under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.again = nn.Linear(2, 1)
        self.again.weight = self.head.weight

    def heads(self) -> list[dict[str, Any]]:
        return [{"params": [self.head.weight], "lr": 0.1}, {"params": [self.head.bias, self.again.bias]}]

    def forward(self, images_BCYX: Tensor) -> Tensor:
        features = self.norm(self.backbone(images_BCYX.mean(dim=(2, 3))))
        out: Tensor = self.head(self.drop(features)) + self.again(features)
        return out


OPTIMIZERS: dict[str, Callable[[Tied], list[torch.optim.Optimizer]]] = {
    "momentum": lambda tied: [torch.optim.SGD(tied.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)],
    "no momentum": lambda tied: [torch.optim.SGD(tied.parameters(), lr=0.1)],
    "adamw": lambda tied: [torch.optim.AdamW(tied.parameters(), lr=0.1, amsgrad=True)],
    "nadam": lambda tied: [torch.optim.NAdam(tied.parameters(), lr=0.1)],
    "no tensors": lambda tied: [Counting(tied.parameters())],
    "two": lambda tied: [
        torch.optim.SGD([*tied.backbone.parameters(), *tied.norm.parameters()], lr=0.1, momentum=0.9),
        torch.optim.AdamW(tied.heads(), lr=0.01),
    ],
}


class StatefulLearner(Learner[Line, Batch]):
    """Has every kind of state: a teacher and a memory that forward updates, an integer, tied weights, and what its optimisers keep."""

    memory: Tensor
    turns: Tensor
    shift: Tensor

    def __init__(self, optimizers: str, *, interrupted: float) -> None:
        """interrupted: the step at which it does not go on."""
        super().__init__()
        self.network: Tied = Tied()
        self.teacher = nn.Linear(3, 1)
        self.register_buffer("memory", torch.zeros(3, 2))
        self.register_buffer("turns", torch.tensor(0))
        self.register_buffer("shift", torch.tensor(0.5), persistent=False)
        self._optimizers = optimizers
        self._interrupted = interrupted
        self.made: list[Scheduled] = []
        self.rates: list[float] = []  # of every step that was begun

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self.turns == self._interrupted:
            raise KeyboardInterrupt
        self.rates.append(self.made[-1].optimizer.param_groups[0]["lr"])
        colours = batch.images_BCYX.mean(dim=(2, 3))
        with torch.no_grad():
            self.teacher.weight.lerp_(self.network.head.weight @ self.network.backbone.weight, 0.3)
            self.memory[self.turns % 3] = self.network.backbone(colours).mean(dim=0)
            self.turns += 1
            wanted = torch.sigmoid(self.teacher(colours) + self.memory.sum() + self.shift)[:, 0]
        logits = self.network(batch.images_BCYX)[:, 0]
        of = nn.functional.binary_cross_entropy_with_logits
        return {"labels": of(logits, batch.labels_BK[:, 1]), "teacher": of(logits, wanted)}

    def optimizers(self) -> list[Scheduled]:
        self.made = [Scheduled(one, DESCENT.factor) for one in OPTIMIZERS[self._optimizers](self.network)]
        return self.made


def stateful(optimizers: str, *, interrupted: float = math.inf) -> StatefulLearner:
    """A learner with the weights that every training of these tests begins with."""
    torch.manual_seed(0)
    return StatefulLearner(optimizers, interrupted=interrupted)


def left_by(learner: StatefulLearner, trained: Trained[Line]) -> dict[str, bytes]:
    """What a training leaves, to the bit: whatever its learner and optimisers hold, and all losses."""
    left = {name: value.numpy().tobytes() for name, value in learner.state_dict().items()}
    states = [one.optimizer.state_dict()["state"] for one in learner.made]
    left |= {
        f"{number} {parameter} {name}": value.numpy().tobytes() if isinstance(value, Tensor) else str(value).encode()
        for number, parameters in enumerate(states)
        for parameter, state in parameters.items()
        for name, value in state.items()
    }
    return left | {
        "losses": np.array(trained.losses).tobytes(),
        "rates": str([group["lr"] for one in learner.made for group in one.optimizer.param_groups]).encode(),
    }


def finished(optimizers: str, checkpoints: Checkpoints | None = None) -> tuple[dict[str, bytes], list[float]]:
    """What a training leaves that goes to its end, and the rates of the steps that it did."""
    learner = stateful(optimizers)
    trained = train(learner, pictures(5), IN_PASSING, checkpoints=checkpoints)
    assert len(trained.losses) == STEPS
    assert learner.network.again.weight is learner.network.head.weight
    return left_by(learner, trained), learner.rates


def interrupt(optimizers: str, checkpoints: Checkpoints, *, step: int) -> int:
    """Train until a step; the number of steps that were done."""
    learner = stateful(optimizers, interrupted=step)
    with pytest.raises(KeyboardInterrupt):
        train(learner, pictures(5), IN_PASSING, checkpoints=checkpoints)
    return len(learner.rates)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where checkpoints are kept, in a folder that is not there yet."""
    return tmp_path / "a" / "training.safetensors"


# At every step with the optimisers that have every kind of state between them; with each of the others in the middle.
@pytest.mark.parametrize(
    ("optimizers", "step"),
    [
        pytest.param(optimizers, step, marks=[] if optimizers == "two" or step == STEPS // 2 else pytest.mark.slow)
        for optimizers in OPTIMIZERS
        for step in range(STEPS)
    ],
)
def test_an_interrupted_training_comes_to_the_same_weights_and_losses(optimizers: str, step: int, file: Path) -> None:
    left, rates = finished(optimizers)
    assert interrupt(optimizers, Checkpoints(file, seconds=0), step=step) == step
    torch.rand(7)
    again, rates_after = finished(optimizers, Checkpoints(file, seconds=0))
    assert again == left
    assert rates_after == rates[step:]


def test_a_training_may_be_interrupted_again_and_again(file: Path) -> None:
    assert [interrupt("two", Checkpoints(file, seconds=0), step=step) for step in range(1, STEPS)] == [1] * (STEPS - 1)
    assert finished("two", Checkpoints(file, seconds=0))[0] == finished("two")[0]


def test_steps_after_the_last_checkpoint_are_done_again(file: Path) -> None:
    class EveryThird(Checkpoints):
        asked = 0

        def due(self) -> bool:
            self.asked += 1
            return self.asked % 3 == 0

    interrupt("adamw", EveryThird(file, seconds=0), step=5)
    left, rates = finished("adamw", Checkpoints(file, seconds=0))
    assert left == finished("adamw")[0]
    assert len(rates) == STEPS - 3


def test_checkpoints_change_nothing_and_leave_one_file_of_the_last_step_but_one(file: Path) -> None:
    assert finished("two", Checkpoints(file, seconds=0))[0] == finished("two")[0]
    assert list(file.parent.iterdir()) == [file]
    loaded = Checkpoints(file, seconds=0).load()
    assert loaded is not None and len(loaded[0]["log.loss"]) == STEPS - 1


def test_a_training_that_is_shorter_than_the_time_between_checkpoints_leaves_no_file(file: Path) -> None:
    finished("two", Checkpoints(file, seconds=1000))
    assert not file.parent.exists()


@pytest.mark.parametrize("step", range(1, STEPS))
def test_no_image_of_a_finished_step_is_viewed_again(step: int, file: Path) -> None:
    images = pictures(5)
    viewed: list[tuple[int, bytes]] = []

    def view(number: int, random: np.random.Generator) -> Sample:
        sample = AUGMENTATION.view(images[number], random)
        viewed.append((number, sample.image.tobytes()))
        return sample

    def run(learner: StatefulLearner, checkpoints: Checkpoints) -> None:
        viewed.clear()
        fit(lambda: learner, range(5), Sampling(IN_PASSING, view, Batch.of), machine=MACHINE, name="test", checkpoints=checkpoints)

    run(stateful("momentum"), Checkpoints(file, seconds=math.inf))
    uninterrupted = list(viewed)
    assert len(uninterrupted) == STEPS * 3
    with pytest.raises(KeyboardInterrupt):
        run(stateful("momentum", interrupted=step), Checkpoints(file, seconds=0))
    run(stateful("momentum"), Checkpoints(file, seconds=0))
    assert viewed == uninterrupted[step * 3 :]


def test_progress_begins_where_the_training_does(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt("momentum", Checkpoints(file, seconds=0), step=4)
    finished("momentum", Checkpoints(file, seconds=0))
    assert f"test: {STEPS} steps in " in capsys.readouterr().err


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(IN_PASSING, epochs=6.0),
        dataclasses.replace(IN_PASSING, seed=4),
        dataclasses.replace(IN_PASSING, epochs=8.4, batch_size=6),  # as many steps
    ],
)
def test_the_checkpoint_of_another_training_is_not_used(other: Training, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected, learner = stateful("momentum"), stateful("momentum")
    left = left_by(expected, train(expected, pictures(5), other))
    interrupt("momentum", Checkpoints(file, seconds=0), step=4)
    capsys.readouterr()
    assert left_by(learner, train(learner, pictures(5), other, checkpoints=Checkpoints(file, seconds=0))) == left
    assert capsys.readouterr().err.startswith("test: the checkpoint is of another training, starting anew\n")


def test_the_checkpoint_of_another_network_is_not_used(file: Path) -> None:
    interrupt("momentum", Checkpoints(file, seconds=0), step=4)
    learner = LineLearner()
    train(learner, pictures(5), IN_PASSING, checkpoints=Checkpoints(file, seconds=0))
    assert len(learner.seen) == STEPS


def test_the_checkpoint_of_another_number_of_optimizers_is_not_used(file: Path) -> None:
    interrupt("two", Checkpoints(file, seconds=0), step=4)
    assert finished("momentum", Checkpoints(file, seconds=0))[0] == finished("momentum")[0]


@pytest.mark.parametrize("harm", [lambda content: content[: len(content) // 2], lambda content: content[:-1] + bytes([content[-1] ^ 1])])
def test_after_a_damaged_checkpoint_the_training_begins_anew(
    harm: Callable[[bytes], bytes], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt("momentum", Checkpoints(file, seconds=0), step=4)
    file.write_bytes(harm(file.read_bytes()))
    capsys.readouterr()
    left, rates = finished("momentum", Checkpoints(file, seconds=0))
    assert left == finished("momentum")[0] and len(rates) == STEPS
    assert capsys.readouterr().err.startswith(f"{file}: unreadable checkpoint, starting anew\n")


def killable(file: str) -> None:
    """A training of some seconds that prints what is left, and the number of steps that it did itself."""
    learner = stateful("two")
    trained = train(
        learner, pictures(5), Training(seed=0, epochs=200.0, batch_size=2, **PLAIN), checkpoints=Checkpoints(Path(file), seconds=0)
    )
    digest = hashlib.sha256(b"".join(value for _, value in sorted(left_by(learner, trained).items()))).hexdigest()
    print(digest, len(learner.rates))


@pytest.mark.slow
def test_a_training_that_is_killed_comes_to_the_same_weights(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `make test` kills instead is the training of a stage."""
    killable(str(file.with_name("other")))
    digest, steps = capsys.readouterr().out.split()
    assert steps == "500"
    command = [sys.executable, "-c", "import sys; from tests.learning.test_checkpoints import killable; killable(sys.argv[1])", str(file)]
    moments = random.Random(0)
    for _ in range(3):
        before = file.stat().st_mtime_ns if file.exists() else 0
        with subprocess.Popen(command, cwd=PROJECT) as process:
            while not file.exists() or file.stat().st_mtime_ns == before:
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    last = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert last.stdout.split()[0] == digest
    assert 0 < int(last.stdout.split()[1]) <= 497  # each of the others did at least one
    checkpoints = Checkpoints(file, seconds=0)
    checkpoints.remove()
    assert [one.name for one in file.parent.iterdir()] == ["other"]


@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupted_training_comes_to_the_same_mean_of_weights(step: int, file: Path) -> None:
    training = dataclasses.replace(FOUR, averaging=0.5, micro_batches=2, clip=0.1)
    whole = train(PlainLearner, pictures(5), training)

    class Interrupted(PlainLearner):
        steps = 0

        def after_step(self, progress: float) -> None:
            self.steps += 1
            if self.steps > step:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted, pictures(5), training, checkpoints=Checkpoints(file, seconds=0))
    again = train(PlainLearner, pictures(5), training, checkpoints=Checkpoints(file, seconds=math.inf))
    assert alike(whole, again, tolerance=0.0)


# --- Warnings ---


class Slow(LineLearner):
    """Takes some seconds for each step, by a clock of its own."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def after_step(self, progress: float) -> None:
        self.clock[0] += self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def warned(clock: list[float], *, seconds: float, between: float, capsys: pytest.CaptureFixture[str]) -> str:
    """What ten steps of some seconds each say on the way.

    between: two checkpoints.
    """
    training = Training(seed=0, epochs=4.0, batch_size=2, **PLAIN)
    checkpoints = Checkpoints(Path(os.devnull) / "there is none", seconds=between)
    train(Slow(clock, seconds), pictures(5), training, checkpoints=checkpoints)
    return "".join(line for line in capsys.readouterr().err.splitlines() if "checkpoint" in line)


def test_checkpoints_that_come_too_late_for_a_training_are_told_early(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert warned(clock, seconds=30, between=600, capsys=capsys) == (
        "test: some 240 s are left, and a checkpoint is kept every 600 s, so an interruption would cost whatever it has done by then: "
        "set SEEDBED_CHECKPOINT_SECONDS, or --checkpoint-seconds, to 60"
    )


@pytest.mark.parametrize(("seconds", "between"), [(1.0, 60.0), (5.0, 600.0)])
def test_less_than_a_minute_is_not_worth_a_word(
    seconds: float, between: float, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert warned(clock, seconds=seconds, between=between, capsys=capsys) == ""


def test_checkpoints_that_come_in_time_are_no_news(clock: list[float], capsys: pytest.CaptureFixture[str], file: Path) -> None:
    train(Slow(clock, 30), pictures(5), Training(seed=0, epochs=4.0, batch_size=2, **PLAIN), checkpoints=Checkpoints(file, seconds=200))
    assert file.exists() and "SEEDBED_CHECKPOINT_SECONDS" not in capsys.readouterr().err
