"""The classifier with a temperature and a teacher."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from seedbed.classifier.cam import Cam
from seedbed.classifier.usage import Adjustment, Head, Usage, UsageLearner, measure_distance, measure_progress
from seedbed.errors import ParamsError
from seedbed.learning.batches import Batch
from seedbed.learning.optimisers import Descent, Optimiser
from seedbed.networks.contracts import Inherited
from tests.support.learning import NUM_CLASSES, batch, gradients, samples, trained

NOTHING_LEFT_OUT = Adjustment(what="channels", largest=0.0, teacher_share=0.5, by_status=False, status_momentum=0.9)


@pytest.fixture
def usage(small_method: Callable[[str, str], Any]) -> Usage:
    made = small_method("classifier", "usage")
    assert isinstance(made, Usage)
    return made


def of_transformer(usage: Usage, *, class_tokens: bool = True) -> Usage:
    """The same of a small transformer."""
    backbone = dataclasses.replace(usage.backbone, network="test_vit", output_stride=16)
    return dataclasses.replace(usage, backbone=backbone, class_tokens=class_tokens)


def learner_of(method: Usage, *, deviation: float = 0.3) -> UsageLearner:
    torch.manual_seed(0)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, UsageLearner)
    for layer in (made.student.head, *([] if made.teacher is None else [made.teacher.head])):
        torch.nn.init.normal_(layer.weight, std=deviation)  # so that maps say something
    return made.train()


def step(learner: UsageLearner, seen: Batch) -> dict[str, Tensor]:
    """One step of a training."""
    [scheduled] = learner.optimizers()
    scheduled.optimizer.zero_grad()
    terms: dict[str, Tensor] = learner(seen, 0.0)
    sum(terms.values(), torch.zeros(())).backward()
    scheduled.optimizer.step()
    learner.after_step(0.0)
    return terms


# --- What remains of it where everything is off ---


def test_without_all_that_is_new_it_is_the_plain_classifier_to_the_bit(
    usage: Usage, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    cam = small_method("classifier", "cam")
    assert isinstance(cam, Cam)
    descent = Descent(
        learning_rate=0.05, new_layer_factor=3, momentum=0.8, weight_decay=0.01, warmup=0.4, power=0.8, decay_starts="after_warmup"
    )
    cam = dataclasses.replace(cam, descent=descent, training=dataclasses.replace(cam.training, epochs=4.0))
    like = {name: getattr(descent, name) for name in ("learning_rate", "new_layer_factor", "momentum", "weight_decay", "warmup", "power")}
    optimiser = dataclasses.replace(
        usage.optimiser,
        kind="sgd",
        bias_factor=1,
        decayed="all",
        decay="polynomial",
        last_learning_rate=0,
        decay_starts="after_warmup",
        **like,
    )
    shared = {name: getattr(cam, name) for name in ("backbone", "augmentation", "training")}
    plain = dataclasses.replace(
        usage,
        head=Head(kernel=1, bias=False),
        temperature="infinite",
        consistency=0.0,
        adjustment=NOTHING_LEFT_OUT,
        optimiser=optimiser,
        **shared,
    )
    made = [
        trained(one, partial(one.learner, NUM_CLASSES, given=Inherited()), samples([]), tmp_path / type(one).__name__)
        for one in (cam, plain)
    ]
    weights, others = (dict(one.weights) for one in made)
    assert list(weights) == list(others) and all((weights[name] == others[name]).all() for name in weights)
    assert made[0].losses == made[1].losses and made[0].losses[0] != made[0].losses[-1]


def test_a_temperature_alone_changes_what_is_learned(usage: Usage) -> None:
    off: dict[str, Any] = {"consistency": 0.0, "adjustment": NOTHING_LEFT_OUT}
    seen = batch([])
    losses = [learner_of(dataclasses.replace(usage, temperature=one, **off))(seen, 0.0)["classes"].item() for one in ("infinite", 5.0, 0.2)]
    assert len(set(losses)) == 3


# --- Student and teacher ---


def test_without_consistency_there_is_no_teacher(usage: Usage) -> None:
    learner = learner_of(dataclasses.replace(usage, consistency=0.0))
    assert learner.teacher is None and learner.student is learner.network
    assert list(learner(batch([]), 0.0)) == ["classes"]
    assert not any(name.startswith("other") for name in learner.state_dict())


@pytest.mark.parametrize("kept", ["student", "teacher"])
def test_either_of_the_two_is_kept(usage: Usage, kept: Literal["student", "teacher"]) -> None:
    learner = learner_of(dataclasses.replace(usage, kept=kept, teacher_momentum=0.5))
    step(learner, batch([]))
    assert learner.network is getattr(learner, kept) and learner.teacher is not learner.student
    [scheduled] = learner.optimizers()
    learned = {id(one) for group in scheduled.optimizer.param_groups for one in group["params"]}
    assert learned == {id(one) for one in learner.student.parameters()}
    names = [name for name, _ in learner.named_parameters()]
    assert len(names) == len(set(names)) == 2 * len(list(learner.student.parameters()))  # each once in a checkpoint


def test_the_teacher_gets_no_gradient_and_stays_in_evaluation_mode(usage: Usage) -> None:
    learner = learner_of(usage)
    assert learner.teacher is not None and not learner.teacher.training and learner.student.training
    sum(learner(batch([]), 0.0).values(), torch.zeros(())).backward()
    assert all(one.grad is None for one in learner.teacher.parameters())
    assert any(one.grad is not None and one.grad.any() for one in learner.student.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.7, 1.0])
def test_the_teacher_follows_by_its_momentum(usage: Usage, momentum: float) -> None:
    learner = learner_of(dataclasses.replace(usage, teacher_momentum=momentum))
    assert learner.teacher is not None
    before = {name: value.clone() for name, value in learner.teacher.state_dict().items()}
    step(learner, batch([]))
    for name, new in learner.student.state_dict().items():
        if new.is_floating_point():
            expected = momentum * before[name] + (1 - momentum) * new
            assert torch.allclose(learner.teacher.state_dict()[name], expected, atol=1e-6), name


def test_two_that_are_alike_and_leave_nothing_out_agree(usage: Usage) -> None:
    learner = learner_of(dataclasses.replace(usage, adjustment=NOTHING_LEFT_OUT)).eval()
    assert learner.teacher is not None
    learner.teacher.load_state_dict(learner.student.state_dict())
    assert learner(batch([]), 0.0)["consistency"].item() == pytest.approx(0.0, abs=1e-5)


def test_student_and_teacher_leave_out_different_shares(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[tuple[Any, float]] = []

    def note(trunk: Any, share: Any, *, what: str) -> Any:
        shares.append((trunk, float(share)))
        return torch.no_grad()  # any context

    monkeypatch.setattr("seedbed.classifier.usage.drop_features", note)
    adjustment = Adjustment(what="values", largest=0.4, teacher_share=0.25, by_status=True, status_momentum=0.5)
    learner = learner_of(dataclasses.replace(usage, adjustment=adjustment))
    for status, progress in ((0.3, 0.0), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0)):
        learner.status.fill_(status)
        shares.clear()
        learner(batch([]), 0.0)
        assert learner.teacher is not None
        assert [one for one, _ in shares] == [learner.student.backbone.trunk, learner.teacher.backbone.trunk]
        assert [one for _, one in shares] == pytest.approx([0.4 * progress, 0.1 * progress])


def test_the_share_can_stand_still(usage: Usage) -> None:
    """Half of a network's features are left out from the first step on: another answer every time."""
    adjustment = Adjustment(what="channels", largest=0.5, teacher_share=0.0, by_status=False, status_momentum=0.5)
    learner, seen = learner_of(dataclasses.replace(usage, adjustment=adjustment)).eval(), batch([])
    assert learner(seen, 0.0)["classes"].item() != learner(seen, 0.0)["classes"].item()


# --- The learning status ---


def test_the_status_is_the_running_mean_probability_of_the_classes_of_images(usage: Usage) -> None:
    learner = learner_of(dataclasses.replace(usage, adjustment=dataclasses.replace(NOTHING_LEFT_OUT, status_momentum=0.8))).eval()
    seen = batch([])
    assert learner.status.item() == 0.5
    for _ in range(2):  # micro-batches of one step
        learner(seen, 0.0)
    _, logits = learner.student(seen.images_BCYX)
    probability = logits.sigmoid()[seen.labels_BK[:, 1:] > 0].mean().item()
    learner.after_step(0.0)
    assert learner.status.item() == pytest.approx(0.8 * 0.5 + 0.2 * probability)
    assert learner.measure_batch()["status"].item() == learner.status.item()
    learner.after_step(0.0)  # nothing was seen since
    assert learner.status.item() == pytest.approx(0.8 * 0.5 + 0.2 * probability)


def test_images_without_classes_say_nothing_of_it(usage: Usage) -> None:
    learner, seen = learner_of(usage), batch([])
    seen.labels_BK[:, 1:] = 0
    terms = step(learner, seen)
    assert terms["consistency"].item() == 0 and learner.status.item() == 0.5
    assert all(one.isfinite().all() for one in gradients(learner))


@pytest.mark.parametrize(("status", "progress"), [(0.0, 0.0), (0.5, 0.0), (0.6, 0.2), (0.75, 0.5), (1.0, 1.0)])
def test_how_far_it_has_come(status: float, progress: float) -> None:
    assert measure_progress(torch.tensor(status)).item() == pytest.approx(progress)


# --- Distances ---


@pytest.mark.parametrize("distance", ["kl", "absolute", "squares"])
def test_a_distance_is_none_only_between_equals(distance: str) -> None:
    maps = torch.randn(2, 3, 5, 7)
    measure = partial(measure_distance, maps, teacher_temperature=1.0, distance=distance)
    assert torch.allclose(measure(maps + 2), torch.zeros(2, 3), atol=1e-6)  # an offset is none
    assert (measure(torch.randn(2, 3, 5, 7)) > 1e-4).all()


def test_distances_by_hand() -> None:
    student, teacher = torch.tensor([[[[0.0, math.log(3)]]]]), torch.tensor([[[[0.0, 2 * math.log(4)]]]])  # 1/4, 3/4; at 2: 1/5, 4/5
    found = {
        one: measure_distance(student, teacher, teacher_temperature=2.0, distance=one).item()
        for one in ("kl", "cross_entropy", "absolute", "squares")
    }
    entropy = -0.2 * math.log(0.25) - 0.8 * math.log(0.75)
    assert found["cross_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert found["kl"] == pytest.approx(entropy + 0.2 * math.log(0.2) + 0.8 * math.log(0.8), rel=1e-4)
    assert found["absolute"] == pytest.approx(0.1, rel=1e-4) and found["squares"] == pytest.approx(2 * 0.05**2, rel=1e-4)


def test_what_is_certain_has_finite_distances() -> None:
    """A peak so high that all other places count nothing."""
    student, teacher = torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2, 3)
    teacher[0, 0, 1, 1] = 500
    assert measure_distance(student, teacher, teacher_temperature=0.1, distance="kl").item() == pytest.approx(math.log(6), rel=1e-5)


# --- Transformers ---


def test_tokens_of_classes_learn_too(usage: Usage) -> None:
    learner = learner_of(of_transformer(usage))
    terms = learner(batch([]), 0.0)
    assert list(terms) == ["classes", "tokens", "consistency"]
    terms["tokens"].backward()
    given = learner.student.backbone.trunk.cls_token.grad
    assert given is not None and given.shape[1] == NUM_CLASSES and all(given[0, number].any() for number in range(NUM_CLASSES))


def test_a_convolutional_network_has_no_tokens(usage: Usage) -> None:
    with pytest.raises(ParamsError, match=r"classifier\.usage\.class_tokens: found a network without a class token"):
        dataclasses.replace(usage, class_tokens=True).check()


def test_the_student_is_kept_where_there_is_no_teacher(usage: Usage) -> None:
    with pytest.raises(ValidationError, match="the student to be kept where consistency is 0"):
        dataclasses.replace(usage, consistency=0.0, kept="teacher")


# --- Precision and memory ---


def test_losses_have_full_precision_whatever_the_network_has(usage: Usage) -> None:
    learner = learner_of(of_transformer(usage))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {one.dtype for one in learner(batch([]), 0.0).values()} == {torch.float32}


def test_a_teacher_and_second_moments_take_memory(usage: Usage) -> None:
    adamw = dataclasses.replace(usage, optimiser=dataclasses.replace(usage.optimiser, kind="adamw"))
    alone, with_teacher, both = (
        one.memory({"class": 4})
        for one in (dataclasses.replace(usage, consistency=0.0), dataclasses.replace(usage, consistency=0.5), adamw)
    )
    assert both - with_teacher == with_teacher - alone == 4 * sum(one.numel() for one in usage.network(3).parameters())


# --- As a whole ---


def drop_plainly(values: Tensor, share: float, axis: int) -> Tensor:
    """Whole channels of each image left out."""
    shape = [length if place in (0, axis) else 1 for place, length in enumerate(values.shape)]
    return values * (torch.rand(shape) >= share) / (1 - share)


def run_plainly(trunk: Any, images: Tensor, state: Mapping[str, Tensor], share: float) -> tuple[Tensor, Tensor]:
    """Class maps and logits of tokens of a transformer, block by block."""
    patches = trunk.patch_embed(images)  # (B, y, x, D)
    tokens = trunk.norm_pre(trunk._pos_embed(patches))
    for block in trunk.blocks:
        tokens = drop_plainly(block(tokens), share, 2)
    tokens = trunk.norm(tokens)
    classes, places = tokens[:, :NUM_CLASSES], tokens[:, NUM_CLASSES:]
    features = places.transpose(1, 2).reshape(len(images), -1, *patches.shape[1:3])
    return functional.conv2d(features, state["head.weight"], state["head.bias"], padding=1), classes.mean(dim=2)


def places_plainly(maps: Tensor, temperature: float) -> Tensor:
    powers = torch.exp(maps / temperature)
    return powers / powers.sum(dim=(2, 3), keepdim=True)


def test_the_whole_usage_classifier_written_down_plainly(usage: Usage) -> None:
    """From images to losses, gradients and the next teacher; no parameter has its usual value."""
    adjustment = Adjustment(what="channels", largest=0.45, teacher_share=0.6, by_status=True, status_momentum=0.35)
    method = dataclasses.replace(
        of_transformer(usage),
        head=Head(kernel=3, bias=True),
        temperature=0.6,
        consistency=0.7,
        distance="kl",
        kept="teacher",
        teacher_temperature=1.7,
        teacher_momentum=0.4,
        adjustment=adjustment,
    )
    learner, seen = learner_of(method, deviation=0.05), batch([])
    learner.status.fill_(0.8)  # three fifths of the way
    student, teacher = learner.student, learner.teacher
    assert teacher is not None and learner.network is teacher
    learned = dict(student.named_parameters())
    torch.nn.init.normal_(learned["head.bias"], std=0.3)

    torch.manual_seed(3)
    terms = learner(seen, 0.1)
    given = torch.autograd.grad(sum(terms.values(), torch.zeros(())), list(learned.values()))

    torch.manual_seed(3)
    backbone, labels = student.backbone, seen.labels_BK[:, 1:]
    images = (seen.images_BCYX - backbone.mean) / backbone.deviation
    maps, tokens = run_plainly(backbone.trunk, images, learned, 0.45 * 0.6)
    with torch.no_grad():
        targets, _ = run_plainly(teacher.backbone.trunk, images, dict(teacher.named_parameters()), 0.45 * 0.6 * 0.6)
    shares = places_plainly(maps, 0.6)
    logits = (shares * maps).sum(dim=(2, 3))
    classes, of_tokens, apart = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for image in range(2):
        contained = [label for label in range(NUM_CLASSES) if labels[image, label]]
        for label in range(NUM_CLASSES):
            for score, place in ((logits, "classes"), (tokens, "tokens")):
                probability = 1 / (1 + torch.exp(-score[image, label]))
                entropy = -torch.log(probability if label in contained else 1 - probability) / (2 * NUM_CLASSES)
                classes, of_tokens = (classes + entropy, of_tokens) if place == "classes" else (classes, of_tokens + entropy)
        for label in contained:
            target, ours = places_plainly(targets, 1.7)[image, label], places_plainly(maps, 1.0)[image, label]
            apart = apart + 0.7 * (target * (target / ours).log()).sum() / len(contained) / 2
    expected = torch.autograd.grad(classes + of_tokens + apart, list(learned.values()))

    assert {name: one.item() for name, one in terms.items()} == pytest.approx(
        {"classes": classes.item(), "tokens": of_tokens.item(), "consistency": apart.item()}, rel=1e-4
    )
    for name, one, other in zip(learned, given, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max())), name
    assert all(one.any() for one in given)

    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    learner.after_step(0.1)
    contained_mean = (logits.sigmoid() * labels).sum() / labels.sum()
    assert learner.status.item() == pytest.approx(0.35 * 0.8 + 0.65 * contained_mean.item(), rel=1e-5)
    for name, after in teacher.state_dict().items():
        assert torch.allclose(after, 0.4 * before[name] + 0.6 * student.state_dict()[name], atol=1e-6), name


def test_what_is_learned_from_two_images_is_learned(usage: Usage, tmp_path: Path) -> None:
    training = dataclasses.replace(usage.training, epochs=24.0, batch_size=2)
    still = dataclasses.replace(usage.augmentation.colours, brightness=0.0, contrast=0.0)
    augmentation = dataclasses.replace(usage.augmentation, smallest_scale=1.0, largest_scale=1.0, flip=0.0, colours=still)
    optimiser = dataclasses.replace(usage.optimiser, kind="adamw", learning_rate=0.01, decay="cosine", last_learning_rate=1e-3)
    method = dataclasses.replace(
        usage, training=training, augmentation=augmentation, optimiser=optimiser, temperature=0.5, adjustment=NOTHING_LEFT_OUT
    )
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), samples([], count=2), tmp_path)
    assert sum(left.log["classes"][-3:]) < 0.7 * sum(left.log["classes"][:3])
    assert left.log["status"][-1] > 0.55
    assert isinstance(method.optimiser, Optimiser)
