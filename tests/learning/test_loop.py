"""The training loop: the same seed is the same training, and every image has its turn."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seedbed.errors import MachineError, TrainingError
from seedbed.learning import loop
from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Trained, collect_columns
from seedbed.learning.optimisers import Descent, Scheduled
from seedbed.learning.training import Training
from seedbed.run import fingerprint, interruption
from seedbed.run.machine import Machine
from tests.support.toys import DESCENT, PLAIN, Line, LineLearner, Plain, PlainLearner, alike, pictures, train

TRAINING = Training(seed=0, epochs=2.0, batch_size=2, **PLAIN)
FOUR = Training(seed=0, epochs=4.0, batch_size=4, **PLAIN)


def weights(*, seed: int = 0) -> list[Tensor]:
    """What a training from the start leaves."""
    trained = train(LineLearner, pictures(5), dataclasses.replace(TRAINING, seed=seed))
    return [value.clone() for value in trained.network.state_dict().values()]


def test_what_of_a_training_goes_into_an_artifact() -> None:
    network = Line()
    left = collect_columns(Trained(network, {"loss": [3.0, 2.0, 1.0], "rate": [0.1, 0.2, 0.3]}))
    assert left["figures"] == ["loss", "rate"]
    assert left["log"].tolist() == [[3.0, 0.1], [2.0, 0.2], [1.0, 0.3]]
    assert {name: value.tolist() for name, value in left["weights"]} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }


# --- Chance ---


def test_before_and_after_a_step_a_learner_is_told_the_same_progress() -> None:
    class Told(LineLearner):
        def after_step(self, progress: float) -> None:
            told.append(progress)

    told, learner = list[float](), Told()
    train(learner, pictures(4), TRAINING)
    assert told == [progress for _, progress in learner.seen] == [0, 0.25, 0.5, 0.75]


def test_the_same_seed_gives_the_same_weights() -> None:
    first = weights()
    torch.rand(7)  # whatever was drawn in between
    assert all(torch.equal(one, other) for one, other in zip(first, weights(), strict=True))


def test_another_seed_gives_other_weights() -> None:
    assert not any(torch.equal(one, other) for one, other in zip(weights(), weights(seed=1), strict=True))


def test_the_first_steps_of_a_training_do_not_depend_on_how_many_follow() -> None:
    short, long = LineLearner(), LineLearner()
    train(short, pictures(4), TRAINING)
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
    train(frugal, pictures(4), TRAINING)
    train(wasteful, pictures(4), TRAINING)
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
    trained = train(learner, pictures(3), TRAINING)
    assert trained.network is learner.network
    assert not trained.network.training
    assert {value.device.type for value in trained.network.state_dict().values()} == {"cpu"}


def test_terms_of_the_loss_are_added_up() -> None:
    learner = LineLearner(descent=dataclasses.replace(DESCENT, learning_rate=1e-9, momentum=0.0))
    learner.network.drop.p = 0.0
    trained = train(learner, pictures(3), TRAINING)
    batch, _ = learner.seen[0]
    expected = nn.functional.binary_cross_entropy_with_logits(learner.network(batch.images_BCYX)[:, 0], batch.labels_BK[:, 1])
    assert trained.losses[0] == pytest.approx(expected.item(), abs=1e-5)


def test_what_belongs_to_no_optimizer_stays() -> None:
    learner = LineLearner()
    before = learner.teacher.weight.clone()
    train(learner, pictures(3), TRAINING)
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
        train(Changing(terms), pictures(4), TRAINING)
    assert str(raised.value) == (
        f"test, step 2: found the figures {found}; expected loss, one, other, as in the first step; "
        "let the learner give the same terms and figures in every step, 0 where one does not apply"
    )


def test_terms_in_another_order_keep_their_columns() -> None:
    straight, turned = (train(Changing(terms), pictures(4), TRAINING) for terms in (dict, lambda terms: dict(reversed(terms.items()))))
    assert turned.log["other"] == pytest.approx([3 * value for value in turned.log["one"]])
    assert list(turned.log) == list(straight.log) == ["loss", "one", "other", "learning_rate"]


# --- What a step may be ---


@pytest.mark.parametrize("readers", [2, 5])
def test_threads_that_read_ahead_change_nothing(readers: int) -> None:
    one, several = train(PlainLearner, pictures(5), FOUR), train(PlainLearner, pictures(5), FOUR, machine=Machine("cpu", readers=readers))
    assert alike(one, several, tolerance=0.0)


def test_a_running_mean_of_weights_is_what_it_is_called() -> None:
    seen: list[Tensor] = []

    class Remembering(PlainLearner):
        def after_step(self, progress: float) -> None:
            seen.append(self.network.head.weight.detach().clone())

    left = train(Remembering, pictures(5), dataclasses.replace(FOUR, averaging=0.75))
    mean = seen[0]
    for weight in seen[1:]:
        mean = 0.75 * mean + 0.25 * weight
    assert torch.allclose(left.network.head.weight, mean, atol=1e-6)
    without = train(PlainLearner, pictures(5), FOUR)
    assert alike(without, dataclasses.replace(left, network=without.network))  # steps are the same


def test_a_long_gradient_is_shortened() -> None:
    def moved(clip: float) -> float:
        torch.manual_seed(FOUR.seed)
        start = Plain().state_dict()
        one_step = dataclasses.replace(FOUR, epochs=0.1, clip=clip)
        left = train(PlainLearner, pictures(5), one_step).network.state_dict()
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
    training = dataclasses.replace(FOUR, epochs=0.1, clip=clip, clip_each=each)
    seen: list[Batch] = []
    learner.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    left = train(learner, pictures(5), training).network.state_dict()
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
    full, low = train(PlainLearner, pictures(5), FOUR), train(PlainLearner, pictures(5), dataclasses.replace(FOUR, precision="bf16-mixed"))
    assert full.losses != low.losses
    assert np.allclose(full.losses, low.losses, atol=0.05)
    assert {value.dtype for value in low.network.state_dict().values()} == {torch.float32}


# --- Memory ---


def test_a_gpu_without_enough_memory_is_said_in_one_line() -> None:
    class Large(PlainLearner):
        def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
            if progress > 0.5:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            return super().forward(batch, progress)

    with pytest.raises(TrainingError) as raised:
        train(Large, pictures(5), FOUR)
    assert str(raised.value) == (
        "test, step 3: found a GPU without enough memory for a batch; expected room for 4 images of a view's size; "
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
    left = train(learner, pictures(5), training)
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


def test_a_process_that_shares_a_training_refuses_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(interruption, "follow_parent", lambda: None)
    monkeypatch.setattr(loop, "_train", lambda *given: begun.append(given))
    fabric: Any = "fabric"
    job: Any = "job"
    with pytest.raises(MachineError, match="found other sources than those of the run that it joins"):
        loop._train_share(fabric, job=job, sources="others")
    assert begun == []
    loop._train_share(fabric, job=job, sources=fingerprint.startup_digest())
    assert begun == [(fabric, job)]
