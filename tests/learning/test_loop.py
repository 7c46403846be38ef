"""The training loop: the same seed is the same training, interrupted or not, and every image has its turn."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessException

from seedbed.errors import TrainingError
from seedbed.learning.augmentation import Augmentation, Colours, Sample
from seedbed.learning.batches import Batch
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Learner, Trained, collect_columns
from seedbed.learning.loop import count_devices, fit
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Sampling, Training
from seedbed.run import interruption
from seedbed.run.machine import Machine

PROJECT = Path(__file__).parents[2]
PLAIN: dict[str, Any] = {"micro_batches": 1, "precision": "32-true", "clip": 0.0, "clip_each": False, "averaging": 0.0}
TRAINING = Training(seed=0, epochs=2.0, batch_size=2, **PLAIN)
DESCENT = Descent(
    learning_rate=0.1, new_layer_factor=10.0, momentum=0.9, weight_decay=0.0, warmup=0.2, power=0.9, decay_starts="after_warmup"
)
COLOURS = Colours(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.0)
AUGMENTATION = Augmentation(
    crop=16,
    longer_side=0,
    smallest_scale=0.8,
    largest_scale=1.2,
    scale_steps=0,
    interpolation="bilinear",
    padding=(),
    flip=0.5,
    colours=COLOURS,
)
MACHINE = Machine("cpu")


class Line(nn.Module):
    """One number per channel of an image's mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 2)
        self.head = nn.Linear(2, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.backbone(images_BCYX.mean(dim=(2, 3)))))
        return out


class LineLearner(Learner[Line, Batch]):
    """Learns whether the image contains class 1, and remembers what it was given."""

    def __init__(self, *, descent: Descent = DESCENT) -> None:
        super().__init__()
        self.network = Line()
        self.teacher = nn.Linear(3, 1)
        self.descent = descent
        self.seen: list[tuple[Batch, float]] = []
        self.made: list[Scheduled] = []
        self.rates: list[list[float]] = []

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.seen.append((batch, progress))
        self.rates.append([group["lr"] for group in self.made[0].optimizer.param_groups])
        loss = nn.functional.binary_cross_entropy_with_logits(self.network(batch.images_BCYX)[:, 0], batch.labels_BK[:, 1])
        return {"one": 0.25 * loss, "other": 0.75 * loss}

    def optimizers(self) -> list[Scheduled]:
        self.made = [self.descent.schedule(self.network.backbone, self.network.head)]
        return self.made


def pictures(count: int) -> list[Sample]:
    """Images of different sizes; the first class is present in every other one; each has its number in a map."""
    random = np.random.default_rng(0)
    return [
        Sample(
            image=random.integers(0, 256, (20 + number, 31 - number, 3), dtype=np.uint8),
            labels=np.array([True, number % 2 == 0]),
            maps={"number": np.full((20 + number, 31 - number), number, np.int32)},
            padding={"number": -1},
        )
        for number in range(count)
    ]


def without_checkpoints() -> Checkpoints:
    return Checkpoints(Path("there is none"), seconds=math.inf)


def train(
    learner: Learner[Line, Batch], samples: Sequence[Sample], training: Training = TRAINING, *, checkpoints: Checkpoints | None = None
) -> Trained[Line]:
    checkpoints = checkpoints or without_checkpoints()
    sampling = Sampling(training, AUGMENTATION.view, Batch.of)
    return fit(lambda: learner, samples, sampling, machine=MACHINE, name="test", checkpoints=checkpoints)


def weights(*, seed: int = 0) -> list[Tensor]:
    """What a training from the start leaves."""
    training = dataclasses.replace(TRAINING, seed=seed)
    build: Callable[[], Learner[Line, Batch]] = LineLearner
    sampling = Sampling(training, AUGMENTATION.view, Batch.of)
    trained = fit(build, pictures(5), sampling, machine=MACHINE, name="test", checkpoints=without_checkpoints())
    return [value.clone() for value in trained.network.state_dict().values()]


def test_what_of_a_training_goes_into_an_artifact() -> None:
    network = Line()
    left = collect_columns(Trained(network, {"loss": [3.0, 2.0, 1.0], "rate": [0.1, 0.2, 0.3]}))
    assert left["figures"] == ["loss", "rate"]
    assert left["log"].tolist() == [[3.0, 0.1], [2.0, 0.2], [1.0, 0.3]]
    assert {name: value.tolist() for name, value in left["weights"]} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }
    nothing = collect_columns(None)
    assert nothing["log"].shape == (0, 0) and nothing["figures"] == [] and nothing["weights"] == ()


# --- Chance ---


def test_the_same_seed_gives_the_same_weights() -> None:
    first = weights()
    torch.rand(7)  # whatever was drawn in between
    assert all(torch.equal(one, other) for one, other in zip(first, weights(), strict=True))


def test_another_seed_gives_other_weights() -> None:
    assert not any(torch.equal(one, other) for one, other in zip(weights(), weights(seed=1), strict=True))


def test_the_first_steps_of_a_training_do_not_depend_on_how_many_follow() -> None:
    short, long = LineLearner(), LineLearner()
    train(short, pictures(4))
    train(long, pictures(4), dataclasses.replace(TRAINING, epochs=4.0))
    for (one, _), (other, _) in zip(short.seen, long.seen, strict=False):
        assert torch.equal(one.images_BCYX, other.images_BCYX)


def test_what_torch_draws_in_a_step_depends_on_its_position_alone() -> None:
    class Drawing(LineLearner):
        def __init__(self, *, wasteful: bool) -> None:
            super().__init__()
            self.wasteful = wasteful
            self.drawn: list[Tensor] = []

        def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
            self.drawn.append(torch.rand(3))
            if self.wasteful:
                torch.rand(5)
            return super().forward(batch, progress)

    frugal, wasteful = Drawing(wasteful=False), Drawing(wasteful=True)
    train(frugal, pictures(4))
    train(wasteful, pictures(4))
    assert len(frugal.drawn) == 4
    assert all(torch.equal(one, other) for one, other in zip(frugal.drawn, wasteful.drawn, strict=True))
    assert len({tuple(one.tolist()) for one in frugal.drawn}) == 4


# --- Batches ---


@pytest.mark.parametrize(
    ("count", "batch_size", "epochs", "steps"), [(5, 2, 4.0, 10), (5, 3, 3.0, 5), (2, 4, 2.0, 1), (1, 3, 3.0, 1), (6, 2, 0.1, 1)]
)
def test_every_image_has_its_turn_and_no_batch_is_smaller(count: int, batch_size: int, epochs: float, steps: int) -> None:
    learner = LineLearner()
    trained = train(learner, pictures(count), Training(seed=3, epochs=epochs, batch_size=batch_size, **PLAIN))
    assert len(learner.seen) == len(trained.losses) == steps
    assert all(len(batch.images_BCYX) == batch_size for batch, _ in learner.seen)
    numbers = [int(one.max()) for batch, _ in learner.seen for one in batch.maps_BYX["number"]]
    turns = Counter(dict.fromkeys(range(count), 0)) + Counter(numbers)
    assert max(turns.values()) - min([turns[number] for number in range(count)]) <= 1
    for start in range(0, len(numbers) - count + 1, count):  # pass by pass
        assert sorted(numbers[start : start + count]) == list(range(count))


def test_passes_differ_in_their_order() -> None:
    learner = LineLearner()
    train(learner, pictures(6), Training(seed=0, epochs=4.0, batch_size=6, **PLAIN))
    orders = {tuple(int(one.max()) for one in batch.maps_BYX["number"]) for batch, _ in learner.seen}
    assert len(orders) == 4


def test_views_of_an_image_differ_from_pass_to_pass() -> None:
    learner = LineLearner()
    train(learner, pictures(1), Training(seed=0, epochs=3.0, batch_size=1, **PLAIN))
    first, second, third = (batch.images_BCYX for batch, _ in learner.seen)
    assert not torch.equal(first, second) and not torch.equal(second, third)


def test_a_batch_holds_colours_from_0_to_1_and_maps_as_whole_numbers() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 2] = (255, 51, 0)
    sample = Sample(
        image=image, labels=np.array([True, False]), maps={"labels": np.array([[0, 1, 255]] * 2, np.uint8)}, padding={"labels": 255}
    )
    batch = Batch.of([sample, sample]).to(torch.device("cpu"))
    assert batch.images_BCYX.shape == (2, 3, 2, 3)
    assert torch.allclose(batch.images_BCYX[0, :, 0, 2], torch.tensor([1, 0.2, 0]))
    assert batch.images_BCYX.is_contiguous(memory_format=torch.channels_last)  # which a GPU needs for its fastest convolutions
    assert batch.labels_BK.tolist() == [[1, 0], [1, 0]]
    assert batch.maps_BYX["labels"].dtype == torch.int64
    assert batch.maps_BYX["labels"][0].tolist() == [[0, 1, 255]] * 2


# --- What is left ---


def test_the_network_of_the_learner_is_kept_ready_to_be_used() -> None:
    learner = LineLearner()
    trained = train(learner, pictures(3))
    assert trained.network is learner.network
    assert not trained.network.training
    assert {value.device.type for value in trained.network.state_dict().values()} == {"cpu"}


def test_terms_of_the_loss_are_added_up() -> None:
    learner = LineLearner(descent=dataclasses.replace(DESCENT, learning_rate=1e-9, momentum=0.0))
    learner.network.drop.p = 0.0
    trained = train(learner, pictures(3))
    batch, _ = learner.seen[0]
    expected = nn.functional.binary_cross_entropy_with_logits(learner.network(batch.images_BCYX)[:, 0], batch.labels_BK[:, 1])
    assert trained.losses[0] == pytest.approx(expected.item(), abs=1e-5)


def test_what_belongs_to_no_optimizer_stays() -> None:
    learner = LineLearner()
    before = learner.teacher.weight.clone()
    train(learner, pictures(3))
    assert torch.equal(learner.teacher.weight, before)


class Changing(LineLearner):
    """Gives other figures from the second half on."""

    def __init__(self, terms: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        terms = super().forward(batch, progress)
        return self.terms(terms) if progress >= 0.5 else terms


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        (lambda terms: terms | {"late": terms["one"]}, "loss, one, other, late"),
        (lambda terms: {"one": terms["one"]}, "loss, one"),
        (lambda terms: {"one": terms["one"], "late": terms["other"]}, "loss, one, late"),
    ],
)
def test_a_term_that_comes_or_goes_in_mid_training_is_told_at_once(
    terms: Callable[[dict[str, Tensor]], dict[str, Tensor]], found: str
) -> None:
    with pytest.raises(TrainingError) as raised:
        train(Changing(terms), pictures(4))
    assert str(raised.value) == (
        f"test, step 2: found the figures {found}; expected loss, one, other, as in the first step; "
        "let the learner give the same terms and figures in every step, 0 where one does not apply"
    )


def test_terms_in_another_order_keep_their_columns() -> None:
    straight, turned = (train(Changing(terms), pictures(4)) for terms in (dict, lambda terms: dict(reversed(terms.items()))))
    assert turned.log["other"] == pytest.approx([3 * value for value in turned.log["one"]])
    assert list(turned.log) == list(straight.log) == ["loss", "one", "other", "learning_rate"]


# --- The schedule ---


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


# --- Interruptions ---

IN_PASSING = Training(
    seed=3, epochs=4.2, batch_size=3, **PLAIN
)  # 7 steps with 5 images: batches begin in the middle of passes, and cross them
STEPS = 7


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

    def __init__(self, optimizers: str, *, interrupted: float, error: BaseException | None) -> None:
        """interrupted: the step at which it does not go on."""
        super().__init__()
        self.network: Tied = Tied()
        self.teacher = nn.Linear(3, 1)
        self.register_buffer("memory", torch.zeros(3, 2))
        self.register_buffer("turns", torch.tensor(0))
        self.register_buffer("shift", torch.tensor(0.5), persistent=False)
        self._optimizers = optimizers
        self._interrupted, self._error = interrupted, error or KeyboardInterrupt()
        self.made: list[Scheduled] = []
        self.rates: list[float] = []  # of every step that was begun

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if self.turns == self._interrupted:
            raise self._error
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


def stateful(optimizers: str, *, interrupted: float = math.inf, error: BaseException | None = None) -> StatefulLearner:
    """A learner with the weights that every training of these tests begins with."""
    torch.manual_seed(0)
    return StatefulLearner(optimizers, interrupted=interrupted, error=error)


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


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("optimizers", OPTIMIZERS)
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

    run(stateful("momentum"), without_checkpoints())
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
    command = [sys.executable, "-c", "import sys; from tests.learning.test_loop import killable; killable(sys.argv[1])", str(file)]
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


# --- Parts, processes, and what else a step may be ---


class Plain(nn.Module):
    """No chance and no statistics of a batch: it matters to none of its images what others stand beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, images_BCYX: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(images_BCYX.mean(dim=(2, 3))).tanh())
        return out


class PlainLearner(Learner[Plain, Batch]):
    """A mean over images, so that micro-batches weigh the same."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Plain()
        self.largest = 0.0

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.logits = self.network(batch.images_BCYX)[:, 0]
        return {"labels": nn.functional.binary_cross_entropy_with_logits(self.logits, batch.labels_BK[:, 1])}

    def optimizers(self) -> list[Scheduled]:
        return [DESCENT.schedule(self.network.backbone, self.network.head)]

    def measure_batch(self) -> dict[str, Tensor]:
        return {"mean_logit": self.logits.mean()}


FOUR = Training(seed=0, epochs=4.0, batch_size=4, **PLAIN)


class PartlyIdle(PlainLearner):
    """One of its weights has no gradient, as where a network keeps a part that is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.network.head.register_parameter("idle", nn.Parameter(torch.ones(2)))


def plainly(
    training: Training,
    *,
    learner: type[PlainLearner] = PlainLearner,
    machine: Machine = MACHINE,
    checkpoints: Checkpoints | None = None,
) -> Trained[Plain]:
    sampling = Sampling(training, AUGMENTATION.view, Batch.of)
    return fit(learner, pictures(5), sampling, machine=machine, name="test", checkpoints=checkpoints or without_checkpoints())


def alike(one: Trained[Plain], other: Trained[Plain], *, tolerance: float = 1e-5) -> bool:
    """Whether two trainings left the same, but for last digits."""
    states = one.network.state_dict(), other.network.state_dict()
    return np.allclose(one.losses, other.losses, atol=tolerance) and all(
        torch.allclose(value, states[1][name], atol=tolerance) for name, value in states[0].items()
    )


@pytest.mark.parametrize("micro_batches", [2, 4])
def test_a_batch_in_parts_is_the_same_training(micro_batches: int) -> None:
    whole, in_parts = plainly(FOUR), plainly(dataclasses.replace(FOUR, micro_batches=micro_batches))
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


# Of three processes, two have as much to do as each other.
@pytest.mark.parametrize(("micro_batches", "devices"), [pytest.param(1, 2, marks=pytest.mark.slow), (2, 3)])
def test_processes_that_share_a_batch_do_the_same_training(micro_batches: int, devices: int, file: Path) -> None:
    alone = plainly(FOUR, learner=PartlyIdle)
    training, checkpoints = dataclasses.replace(FOUR, micro_batches=micro_batches), Checkpoints(file, seconds=math.inf)
    shared = plainly(training, learner=PartlyIdle, machine=Machine("cpu", devices=devices), checkpoints=checkpoints)
    assert alike(alone, shared)
    assert len(shared.losses) == 5
    assert shared.network.state_dict()["head.idle"].tolist() == [1, 1]


class Failing(PlainLearner):
    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        if progress > 0.5:
            raise TrainingError("test", found="trouble", expected="none", do="nothing")
        return super().forward(batch, progress)


@pytest.mark.slow
def test_a_process_that_fails_ends_the_training_in_one_line(file: Path) -> None:
    sampling = Sampling(FOUR, AUGMENTATION.view, Batch.of)
    with pytest.raises(TrainingError, match=r"^test: found a process that failed: .*TrainingError: test: found trouble"):
        fit(Failing, pictures(5), sampling, machine=Machine("cpu", devices=2), name="test", checkpoints=Checkpoints(file, seconds=math.inf))


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
        plainly(FOUR, machine=Machine("cpu", devices=2), checkpoints=Checkpoints(file, seconds=math.inf))
    assert str(raised.value) == "test: found a process that failed: the last line; expected all to finish; see above, or use one device"
    assert caplog.messages == []


@pytest.mark.parametrize("readers", [2, 5])
def test_threads_that_read_ahead_change_nothing(readers: int) -> None:
    one, several = plainly(FOUR), plainly(FOUR, machine=Machine("cpu", readers=readers))
    assert alike(one, several, tolerance=0.0)


def test_a_running_mean_of_weights_is_what_it_is_called() -> None:
    seen: list[Tensor] = []

    class Remembering(PlainLearner):
        def after_step(self, progress: float) -> None:
            seen.append(self.network.head.weight.detach().clone())

    sampling = Sampling(dataclasses.replace(FOUR, averaging=0.75), AUGMENTATION.view, Batch.of)
    left = fit(Remembering, pictures(5), sampling, machine=MACHINE, name="test", checkpoints=without_checkpoints())
    mean = seen[0]
    for weight in seen[1:]:
        mean = 0.75 * mean + 0.25 * weight
    assert torch.allclose(left.network.head.weight, mean, atol=1e-6)
    assert alike(plainly(FOUR), dataclasses.replace(left, network=plainly(FOUR).network))  # steps are the same as without


@pytest.mark.parametrize("step", [1, 3])
def test_an_interrupted_training_comes_to_the_same_mean_of_weights(step: int, file: Path) -> None:
    training = dataclasses.replace(FOUR, averaging=0.5, micro_batches=2, clip=0.1)
    whole = plainly(training)

    class Interrupted(PlainLearner):
        steps = 0

        def after_step(self, progress: float) -> None:
            self.steps += 1
            if self.steps > step:
                raise KeyboardInterrupt

    sampling = Sampling(training, AUGMENTATION.view, Batch.of)
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted, pictures(5), sampling, machine=MACHINE, name="test", checkpoints=Checkpoints(file, seconds=0))
    again = plainly(training, checkpoints=Checkpoints(file, seconds=math.inf))
    assert alike(whole, again, tolerance=0.0)


def test_a_long_gradient_is_shortened() -> None:
    def moved(clip: float) -> float:
        torch.manual_seed(FOUR.seed)
        start = Plain().state_dict()
        one_step = dataclasses.replace(FOUR, epochs=0.1, clip=clip)
        left = plainly(one_step).network.state_dict()
        return math.sqrt(sum((left[name] - start[name]).square().sum().item() for name in ("backbone.weight", "backbone.bias")))

    free, short = moved(0.0), moved(1e-3)
    rate = DESCENT.learning_rate * 1e-3  # at the very first step of a training that warms up
    assert short <= 1e-3 * rate * 1.01 < free


@pytest.mark.parametrize(("each", "clip"), [(True, 0.02), (False, 0.02), (True, 0.01)])
def test_gradients_are_shortened_one_by_one_or_together(each: bool, clip: float) -> None:
    """By hand: each gradient, or all as one vector, times clip / length where it is longer."""

    class Direct(PlainLearner):
        def optimizers(self) -> list[Scheduled]:
            return [Scheduled(torch.optim.SGD(self.network.parameters(), lr=1.0), lambda _: 1.0)]

    torch.manual_seed(0)
    learner = Direct()
    sampling = Sampling(dataclasses.replace(FOUR, epochs=0.1, clip=clip, clip_each=each), AUGMENTATION.view, Batch.of)
    seen: list[Batch] = []
    learner.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    left = fit(lambda: learner, pictures(5), sampling, machine=MACHINE, name="test", checkpoints=without_checkpoints()).network.state_dict()
    fresh = PlainLearner()
    fresh.network.load_state_dict(before)
    fresh(seen[0], 0.0)["labels"].backward()
    gradients = {name: one.grad.clone() for name, one in fresh.network.named_parameters() if one.grad is not None}
    lengths = {name: float(one.norm()) for name, one in gradients.items()}
    whole = math.sqrt(sum(length**2 for length in lengths.values()))
    assert min(lengths.values()) < clip < max(lengths.values())  # some are shortened, and others are not
    for name, gradient in gradients.items():
        factor = min(1.0, clip / (lengths[name] if each else whole))
        assert torch.allclose(before[name] - left[name], gradient * factor, atol=1e-6), name


def test_lower_precision_is_close_but_not_the_same() -> None:
    full, low = plainly(FOUR), plainly(dataclasses.replace(FOUR, precision="bf16-mixed"))
    assert full.losses != low.losses
    assert np.allclose(full.losses, low.losses, atol=0.05)
    assert {value.dtype for value in low.network.state_dict().values()} == {torch.float32}


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
    checkpoints = Checkpoints(Path("there is none"), seconds=between)
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


# --- Memory ---


def test_a_gpu_without_enough_memory_is_said_in_one_line() -> None:
    learner = stateful("momentum", interrupted=2, error=torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    with pytest.raises(TrainingError) as raised:
        train(learner, pictures(5), IN_PASSING)
    assert str(raised.value) == (
        "test, step 2: found a GPU without enough memory for a batch; expected room for 3 images of a view's size; "
        "raise its micro_batches or lower its batch_size or crop in params.yaml, or use a larger GPU"
    )


# --- As a whole ---


@pytest.mark.parametrize("decay_starts", ["at_once", "after_warmup"])
def test_the_whole_training_written_down_step_by_step(decay_starts: Literal["at_once", "after_warmup"]) -> None:
    """Gradient descent with momentum and decay, on the batches that the training saw."""
    descent = Descent(
        learning_rate=0.3, new_layer_factor=4.0, momentum=0.7, weight_decay=0.05, warmup=0.3, power=0.6, decay_starts=decay_starts
    )

    class Own(PlainLearner):
        def optimizers(self) -> list[Scheduled]:
            return [descent.schedule(self.network.backbone, self.network.head)]

    torch.manual_seed(7)
    learner, seen = Own(), list[Batch]()
    learner.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    weights = {name: value.clone() for name, value in learner.network.named_parameters()}
    training = dataclasses.replace(FOUR, seed=5, epochs=4.8, batch_size=4, clip=0.2)
    sampling = Sampling(training, AUGMENTATION.view, Batch.of)
    left = fit(lambda: learner, pictures(5), sampling, machine=MACHINE, name="test", checkpoints=without_checkpoints())
    assert len(seen) == 6
    kept, losses = {name: torch.zeros_like(value) for name, value in weights.items()}, []
    for step, batch in enumerate(seen):
        given = {name: value.detach().requires_grad_(True) for name, value in weights.items()}
        colours = batch.images_BCYX.mean(dim=(2, 3))
        hidden = torch.tanh(colours @ given["backbone.weight"].T + given["backbone.bias"])
        logits = (hidden @ given["head.weight"].T + given["head.bias"])[:, 0]
        wanted = batch.labels_BK[:, 1]
        loss = -(wanted * torch.sigmoid(logits).log() + (1 - wanted) * (1 - torch.sigmoid(logits)).log()).mean()
        losses.append(loss.item())
        gradients = dict(zip(given, torch.autograd.grad(loss, list(given.values())), strict=True))
        length = math.sqrt(sum(one.square().sum().item() for one in gradients.values()))
        done = step / 6
        rise = max(0.001, done / 0.3) if done < 0.3 else 1
        fall = 1 - done if decay_starts == "at_once" else 1 - max(0, done - 0.3) / 0.7
        for name, gradient in gradients.items():
            kept[name] = 0.7 * kept[name] + min(1, 0.2 / (length + 1e-6)) * gradient + 0.05 * weights[name]
            speed = 0.3 * rise * fall**0.6 * (4 if name.startswith("head") else 1)
            weights[name] = (weights[name] - speed * kept[name]).detach()
    assert left.losses == pytest.approx(losses, rel=1e-5)
    assert all(torch.allclose(value, weights[name], atol=1e-5) for name, value in left.network.named_parameters())
