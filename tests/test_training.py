"""The training loop: the same seed is the same training, and every image has its turn."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seedbed.augmentation import Augmentation, Sample
from seedbed.training import Batch, Descent, Learner, Scheduled, Trained, Training, fit

TRAINING = Training(seed=0, epochs=2.0, batch_size=2)
DESCENT = Descent(learning_rate=0.1, new_layer_factor=10.0, momentum=0.9, weight_decay=0.0, warmup=0.2, power=0.9)
AUGMENTATION = Augmentation(crop=16, smallest_scale=0.8, largest_scale=1.2, flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)


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


class LineLearner(Learner[Line]):
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
        self.made = [self.descent.scheduled(self.network.backbone, self.network.head)]
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


def train(learner: LineLearner, samples: Sequence[Sample], training: Training = TRAINING) -> Trained[Line]:
    return fit(lambda: learner, samples, training=training, view=AUGMENTATION.view, device="cpu", name="test")


def weights(*, seed: int = 0) -> list[Tensor]:
    """What a training from the start leaves."""
    training = dataclasses.replace(TRAINING, seed=seed)
    trained = fit(LineLearner, pictures(5), training=training, view=AUGMENTATION.view, device="cpu", name="test")
    return [value.clone() for value in trained.network.state_dict().values()]


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
    trained = train(learner, pictures(count), Training(seed=3, epochs=epochs, batch_size=batch_size))
    assert len(learner.seen) == len(trained.losses) == steps
    assert all(len(batch.images_BCYX) == batch_size for batch, _ in learner.seen)
    numbers = [int(one.max()) for batch, _ in learner.seen for one in batch.maps_BYX["number"]]
    turns = Counter(dict.fromkeys(range(count), 0)) + Counter(numbers)
    assert max(turns.values()) - min([turns[number] for number in range(count)]) <= 1
    for start in range(0, len(numbers) - count + 1, count):  # pass by pass
        assert sorted(numbers[start : start + count]) == list(range(count))


def test_passes_differ_in_their_order() -> None:
    learner = LineLearner()
    train(learner, pictures(6), Training(seed=0, epochs=4.0, batch_size=6))
    orders = {tuple(int(one.max()) for one in batch.maps_BYX["number"]) for batch, _ in learner.seen}
    assert len(orders) == 4


def test_views_of_an_image_differ_from_pass_to_pass() -> None:
    learner = LineLearner()
    train(learner, pictures(1), Training(seed=0, epochs=3.0, batch_size=1))
    first, second, third = (batch.images_BCYX for batch, _ in learner.seen)
    assert not torch.equal(first, second) and not torch.equal(second, third)


def test_a_batch_holds_colours_from_0_to_1_and_maps_as_whole_numbers() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 2] = (255, 51, 0)
    sample = Sample(
        image=image, labels=np.array([True, False]), maps={"labels": np.array([[0, 1, 255]] * 2, np.uint8)}, padding={"labels": 255}
    )
    batch = Batch.of([sample, sample], torch.device("cpu"))
    assert batch.images_BCYX.shape == (2, 3, 2, 3)
    assert torch.allclose(batch.images_BCYX[0, :, 0, 2], torch.tensor([1, 0.2, 0]))
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


# --- The schedule ---


def test_the_rate_rises_then_falls_to_almost_nothing() -> None:
    factors = [DESCENT.factor(progress) for progress in np.linspace(0, 1, 101)]
    top = int(np.argmax(factors))
    assert top == 20 and factors[top] == 1
    assert 0 < factors[0] < 0.01
    assert all(np.diff(factors[: top + 1]) > 0) and all(np.diff(factors[top:]) < 0)
    assert factors[60] == pytest.approx(0.5**0.9)
    assert factors[100] == 0


def test_without_a_warm_up_the_rate_begins_at_its_highest() -> None:
    assert dataclasses.replace(DESCENT, warmup=0.0).factor(0.0) == 1


def test_without_a_power_the_rate_stays() -> None:
    assert dataclasses.replace(DESCENT, warmup=0.0, power=0.0).factor(0.99) == 1


def test_new_layers_learn_faster_by_their_factor_and_both_follow_the_schedule() -> None:
    learner = LineLearner()
    train(learner, pictures(5), Training(seed=0, epochs=4.0, batch_size=2))
    assert [progress for _, progress in learner.seen] == pytest.approx([step / 10 for step in range(10)])
    expected = [[0.1 * DESCENT.factor(step / 10), DESCENT.factor(step / 10)] for step in range(10)]
    assert np.allclose(learner.rates, expected)


def test_momentum_and_weight_decay_are_what_they_are_called() -> None:
    [scheduled] = LineLearner(descent=dataclasses.replace(DESCENT, momentum=0.8, weight_decay=0.01)).optimizers()
    assert all(group["momentum"] == 0.8 and group["weight_decay"] == 0.01 for group in scheduled.optimizer.param_groups)
