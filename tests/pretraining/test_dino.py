"""Self-distillation: crops, answers, the centre, the teacher, and the schedules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed.machine import Machine
from seedbed.pretraining.dino import Crops, Dino, DinoLearner, Views
from seedbed.types import Image
from seedbed.weights import Checkpoints


@pytest.fixture
def dino(small_method: Callable[[str, str], Any]) -> Dino:
    made = small_method("pretraining", "dino")
    assert isinstance(made, Dino)
    return made


def images(count: int = 4) -> list[Image]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (24 + number, 40 - number, 3), dtype=np.uint8) for number in range(count)]


def views(dino: Dino, count: int = 2) -> Views:
    random = np.random.default_rng(1)
    return Views.of([dino.view(image, random) for image in images(count)]).to(torch.device("cpu"))


# --- Crops ---


def test_an_image_is_seen_in_crops_of_two_sizes(dino: Dino) -> None:
    method = dataclasses.replace(dino, large=dataclasses.replace(dino.large, edge=32), small=dataclasses.replace(dino.small, count=3))
    made = views(method)
    assert made.large_VBCYX.shape == (2, 2, 3, 32, 32) and made.small_VBCYX.shape == (3, 2, 3, 16, 16)
    assert made.large_VBCYX.min() >= 0 and 0.5 < made.large_VBCYX.max() <= 1
    alone = views(dataclasses.replace(dino, small=dataclasses.replace(dino.small, count=0)))
    assert len(alone.small_VBCYX) == 0


@pytest.mark.parametrize("size", [(30, 40), (64, 9), (1, 7)])
def test_a_crop_shows_as_much_of_the_image_as_it_says(size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    rows, columns = np.indices(size)
    image[..., 0], image[..., 1] = rows * 255 // max(1, size[0] - 1), columns * 255 // max(1, size[1] - 1)
    whole = Crops(count=1, edge=16, smallest=1.0, largest=1.0)
    part = Crops(count=1, edge=16, smallest=0.05, largest=0.1)
    random = np.random.default_rng(0)
    for _ in range(20):
        assert whole.cut(image, random).shape == part.cut(image, random).shape == (16, 16, 3)
        if size == (30, 40):  # narrow images have no room for crops of most shapes
            spread = [
                np.ptp(cut[..., :2].astype(float), axis=(0, 1)).prod() / 255**2
                for cut in (whole.cut(image, random), part.cut(image, random))
            ]
            assert spread[0] > 0.6 and spread[1] < 0.2


def test_sizes_of_crops_are_in_order() -> None:
    with pytest.raises(ValueError, match=r"no more than largest, which is 0\.4"):
        Crops(count=1, edge=16, smallest=0.5, largest=0.4)


# --- The loss ---


def test_a_student_that_says_what_its_teacher_says_loses_the_entropy_of_the_answer(dino: Dino) -> None:
    """Large crops that are all alike, a centre at 0 and equal temperatures: cross-entropy is then entropy."""
    method = dataclasses.replace(
        dino,
        small=dataclasses.replace(dino.small, count=0),
        student_temperature=0.1,
        teacher_temperature=0.1,
        first_teacher_temperature=0.1,
    )
    learner = DinoLearner(method).eval()
    one = views(method).large_VBCYX[:1]
    batch = Views(one.repeat(2, 1, 1, 1, 1), one[:0])
    share = (learner.teacher(one) / 0.1).softmax(dim=-1)
    entropy = -(share * share.log()).sum(dim=-1).mean()
    assert learner(batch, 0.5)["distillation"].item() == pytest.approx(entropy.item(), rel=1e-5)


def test_the_loss_is_that_of_the_paper_s_pseudocode(dino: Dino) -> None:
    learner = DinoLearner(dino).eval()
    learner.centre += torch.linspace(-0.5, 0.5, len(learner.centre))
    batch = views(dino)
    teacher, student = learner.teacher(batch.large_VBCYX), [*learner.student(batch.large_VBCYX), *learner.student(batch.small_VBCYX)]
    total, count = 0.0, 0
    for place, said in enumerate(teacher):
        wanted = ((said - learner.centre) / dino.teacher_temperature).softmax(dim=-1)
        for other, answer in enumerate(student):
            if place != other:
                total -= (wanted * (answer / dino.student_temperature).log_softmax(dim=-1)).sum(dim=-1).mean().item()
                count += 1
    assert count == 2 * (2 + dino.small.count) - 2
    assert learner(batch, 1.0)["distillation"].item() == pytest.approx(total / count, rel=1e-5)


def test_the_student_learns_and_the_teacher_does_not(dino: Dino) -> None:
    learner = DinoLearner(dino)
    learner(views(dino), 0.0)["distillation"].backward()
    assert all(one.grad is None for one in learner.teacher.parameters())
    assert all(one.grad is not None and one.grad.isfinite().all() for one in learner.student.parameters())


def test_the_student_s_depth_varies_and_the_teacher_s_does_not(dino: Dino) -> None:
    """By hand: for every image a branch of a block is left out or raised, the later the block, the more often."""
    learner = DinoLearner(dataclasses.replace(dino, drop_path=0.6)).train()
    tokens, images = learner.student.tokens, views(dino).large_VBCYX[0]
    trunk = tokens.trunk
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found = tokens(images)
        torch.manual_seed(seed)
        held = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed((images - tokens.mean) / tokens.deviation))))
        for rate, block in zip(np.linspace(0, 0.6, len(trunk.blocks)), trunk.blocks, strict=True):
            for norm, layers in ((block.norm1, block.attn), (block.norm2, block.mlp)):
                kept = torch.empty(len(images), 1, 1).bernoulli_(1 - rate) / (1 - rate) if rate else torch.ones(len(images), 1, 1)
                held = held + kept * layers(norm(held))
        assert torch.allclose(found, trunk.norm(held), atol=1e-5)
        states.append((found, learner.teacher.tokens(images)))
    assert not torch.allclose(states[0][0], states[1][0])
    assert torch.equal(states[0][1], states[1][1]) and torch.allclose(states[0][1], tokens.eval()(images), atol=1e-5)


# --- After a step ---


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_the_teacher_follows_ever_more_slowly(dino: Dino, progress: float, kept: float) -> None:
    learner = DinoLearner(dataclasses.replace(dino, teacher_momentum=0.9))
    before = learner.teacher.prototypes.weight.clone()
    with torch.no_grad():
        learner.student.prototypes.weight += 1
    learner.stepped(progress)
    assert torch.allclose(learner.teacher.prototypes.weight, before + (1 - kept), atol=1e-6)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_centre_follows_the_teacher_s_mean_answer(dino: Dino, parts: int) -> None:
    training = dataclasses.replace(dino.training, batch_size=2, parts=parts)
    learner = DinoLearner(dataclasses.replace(dino, centre_momentum=0.75, training=training))
    batch = views(dino)
    said = learner.teacher(batch.large_VBCYX).mean(dim=(0, 1))
    for part in range(parts):
        whole = slice(None) if parts == 1 else slice(part, part + 1)
        learner(Views(batch.large_VBCYX[:, whole], batch.small_VBCYX[:, whole]), 0.0)
    learner.stepped(0.0)
    assert torch.allclose(learner.centre, 0.25 * said, atol=1e-5)
    learner.stepped(0.0)
    assert torch.allclose(learner.centre, 0.75 * 0.25 * said, atol=1e-5)  # nothing was said since


# --- Schedules ---


def test_schedules_are_those_of_the_paper(dino: Dino) -> None:
    method = dataclasses.replace(
        dino,
        learning_rate=1e-3,
        last_learning_rate=1e-5,
        warmup=0.1,
        weight_decay=0.04,
        last_weight_decay=0.4,
        fixed_prototypes=0.05,
    )
    most, last = DinoLearner(method).optimizers()
    assert [most.rate(progress) for progress in (0.0, 0.05, 0.1, 1.0)] == pytest.approx([0, 0.5, 1, 0.01])
    assert most.rate(0.55) == pytest.approx(0.01 + 0.99 / 2)
    assert [most.decay(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([1, 5.5, 10])
    assert last.rate(0.04) == 0 and last.rate(0.06) == most.rate(0.06) > 0
    decayed, undecayed = most.optimizer.param_groups
    assert all(one.ndim > 1 for one in decayed["params"]) and all(one.ndim <= 1 for one in undecayed["params"])
    assert undecayed["weight_decay"] == 0


# --- The whole ---


def test_what_is_kept_is_a_network_of_timm_that_has_learned_and_gives_more_than_one_answer(dino: Dino, tmp_path: Path) -> None:
    training = dataclasses.replace(dino.training, epochs=20.0, batch_size=4)
    method = dataclasses.replace(dino, training=training, learning_rate=1e-3, teacher_momentum=0.9, fixed_prototypes=0.0)
    left = method.learn(images(), machine=Machine("cpu"), checkpoints=Checkpoints(tmp_path / "one", seconds=math.inf))
    fresh = DinoLearner(method).network.state_dict()
    state = left.network.state_dict()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in fresh.items()}
    assert len(left.losses) == 20 and np.isfinite(left.losses).all()
    vectors = left.network(torch.stack([torch.from_numpy(image[:16, :16].copy()).permute(2, 0, 1).float() / 255 for image in images()]))
    assert vectors.std(dim=0).max() > 1e-4
