"""Self-distillation: crops, answers, the centre, the teacher, and the schedules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from seedbed.errors import ParamsError
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import InitialWeights
from seedbed.pretraining.dino import Branch, Crops, Dino, DinoLearner, Views
from seedbed.run.machine import Machine
from seedbed.types import Image
from tests.support.learning import trained


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
    alone = views(dataclasses.replace(method, small=dataclasses.replace(dino.small, count=0)))
    assert alone.small_VBCYX.shape == (0, 2, 3, 16, 16)


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


@pytest.mark.parametrize("size", [(4, 5), (5, 4), (1, 1)])
def test_the_smallest_crop_is_a_pixel(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).permutation(np.arange(np.prod(size), dtype=np.uint8))[:, None].repeat(3, axis=1).reshape(*size, 3)
    random, crops = np.random.default_rng(0), Crops(count=1, edge=16, smallest=0.01, largest=0.01)
    seen = [np.unique(crops.cut(image, random)).tolist() for _ in range(200)]
    assert sorted(map(list, {tuple(one) for one in seen})) == [[value] for value in range(image.size // 3)]


@pytest.mark.parametrize(("colour", "inverted"), [(0, 0), (127, 127), (128, 127), (255, 0)])
def test_values_of_128_or_more_are_inverted_except_in_the_first_crop(dino: Dino, colour: int, inverted: int) -> None:
    method = dataclasses.replace(dino, colours_share=0.0, grey=0.0, blur=(0.0, 0.0, 0.0), solarised=1.0)
    large, small = method.view(np.full((20, 30, 3), colour, np.uint8), np.random.default_rng(0))
    assert [np.unique(crop).tolist() for crop in large] == [[colour], *[[inverted]] * (dino.large.count - 1)]
    assert np.unique(small).tolist() == [colour]


def test_sizes_of_crops_are_in_order() -> None:
    with pytest.raises(ValueError, match=r"no more than largest, which is 0\.4"):
        Crops(count=1, edge=16, smallest=0.5, largest=0.4)


def test_weights_of_a_classifier_are_refused_before_anything_runs(dino: Dino) -> None:
    dino.check()
    with pytest.raises(ParamsError, match="because only `segmenter` and `affinity` can start from the weights of that stage"):
        dataclasses.replace(dino, initial_weights=InitialWeights(source="classifier", file="", sha256="")).check()


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


def test_answers_are_cosines_with_the_prototypes(dino: Dino) -> None:
    branch, crops = DinoLearner(dino).eval().student, views(dino).large_VBCYX
    with torch.no_grad():
        branch.prototypes.weight.mul_(torch.linspace(0.5, 2, len(branch.prototypes.weight))[:, None])  # whatever their length
        vectors, found = branch.head(branch.tokens.summarise(crops.flatten(0, 1))), branch(crops).flatten(0, 1)
    assert found.shape == (len(vectors), dino.prototypes)
    for one, answers in zip(vectors, found, strict=True):
        for prototype, answer in zip(branch.prototypes.weight, answers, strict=True):
            assert float(answer) == pytest.approx(float(one @ prototype / one.norm() / prototype.norm()), abs=1e-5)


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


def test_the_student_alone_is_switched_to_training(dino: Dino) -> None:
    learner: Any = dino.learner(0, given=Inherited())
    learner.eval()
    assert not learner.student.training and not learner.teacher.training
    learner.train()
    assert learner.student.training and not learner.teacher.training


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
    learner.after_step(progress)
    assert torch.allclose(learner.teacher.prototypes.weight, before + (1 - kept), atol=1e-6)


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_the_centre_follows_the_teacher_s_mean_answer(dino: Dino, micro_batches: int) -> None:
    training = dataclasses.replace(dino.training, batch_size=2, micro_batches=micro_batches)
    learner = DinoLearner(dataclasses.replace(dino, centre_momentum=0.75, training=training))
    batch = views(dino)
    said = learner.teacher(batch.large_VBCYX).mean(dim=(0, 1))
    for part in range(micro_batches):
        whole = slice(None) if micro_batches == 1 else slice(part, part + 1)
        learner(Views(batch.large_VBCYX[:, whole], batch.small_VBCYX[:, whole]), 0.0)
    learner.after_step(0.0)
    assert torch.allclose(learner.centre, 0.25 * said, atol=1e-5)
    learner.after_step(0.0)
    assert torch.allclose(learner.centre, 0.75 * 0.25 * said, atol=1e-5)  # nothing was said since


def test_the_centre_is_of_the_answers_in_all_processes(dino: Dino, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = DinoLearner(dataclasses.replace(dino, centre_momentum=0.75))
    batch = views(dino)
    said = learner.teacher(batch.large_VBCYX).mean(dim=(0, 1))
    others = torch.linspace(0, 1, len(said))  # in two more processes together
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.add_(others))
    learner(batch, 0.0)
    learner.after_step(0.0)
    assert torch.allclose(learner.centre, 0.25 * (said + others) / 3, atol=1e-5)


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
    assert last.rate(0.04) == 0 and all(last.rate(progress) == most.rate(progress) > 0 for progress in (0.05, 0.06))
    decayed, undecayed = most.optimizer.param_groups
    assert all(one.ndim > 1 for one in decayed["params"]) and all(one.ndim <= 1 for one in undecayed["params"])
    assert undecayed["weight_decay"] == 0


def test_no_weight_decay_stays_none(dino: Dino) -> None:
    most, _ = DinoLearner(dataclasses.replace(dino, weight_decay=0.0, last_weight_decay=0.4)).optimizers()
    assert most.decay(0.5) == 1.0


def test_without_a_warm_up_the_teacher_s_temperature_is_the_last_from_the_start(dino: Dino) -> None:
    method = dataclasses.replace(dino, first_teacher_temperature=0.5, teacher_temperature=0.05, teacher_warmup=0.0)
    batch = views(dino)
    learner = DinoLearner(method).eval()
    last = DinoLearner(dataclasses.replace(method, first_teacher_temperature=0.05)).eval()
    last.load_state_dict(learner.state_dict())
    assert torch.equal(learner(batch, 0.0)["distillation"], last(batch, 0.0)["distillation"])


# --- The whole ---


def test_what_is_kept_is_a_network_of_timm_that_has_learned_and_gives_more_than_one_answer(dino: Dino, tmp_path: Path) -> None:
    training = dataclasses.replace(dino.training, epochs=20.0, batch_size=4)
    method = dataclasses.replace(dino, training=training, learning_rate=1e-3, teacher_momentum=0.9, fixed_prototypes=0.0)
    left = trained(method, partial(method.learner, 0, given=Inherited()), images(), tmp_path)
    fresh = DinoLearner(method).network.state_dict()
    state = left.network.state_dict()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in fresh.items()}
    assert len(left.losses) == 20 and np.isfinite(left.losses).all()
    vectors = left.network(torch.stack([torch.from_numpy(image[:16, :16].copy()).permute(2, 0, 1).float() / 255 for image in images()]))
    assert vectors.std(dim=0).max() > 1e-4


# --- As a whole ---


def cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def test_the_whole_training_written_down_step_by_step(dino: Dino, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The paper's pseudocode with AdamW written out, on the views that the training saw."""
    method = dataclasses.replace(
        dino,
        large=Crops(count=2, edge=16, smallest=0.5, largest=0.9),
        small=Crops(count=3, edge=16, smallest=0.1, largest=0.3),
        prototypes=7,
        hidden=9,
        bottleneck=5,
        student_temperature=0.13,
        teacher_temperature=0.05,
        first_teacher_temperature=0.08,
        teacher_warmup=0.5,
        teacher_momentum=0.8,
        centre_momentum=0.7,
        fixed_prototypes=0.3,
        training=dataclasses.replace(dino.training, seed=3, epochs=2.5, batch_size=2, clip=0.5),
        learning_rate=0.01,
        last_learning_rate=0.002,
        warmup=0.25,
        weight_decay=0.3,
        last_weight_decay=0.6,
    )
    seen: list[Any] = []
    view = Dino.view

    def watched(self: Dino, image: Image, random: np.random.Generator) -> Any:
        seen.append(view(self, image, random))
        return seen[-1]

    monkeypatch.setattr(Dino, "view", watched)
    left = trained(method, partial(method.learner, 0, given=Inherited()), images(), tmp_path, machine=Machine("cpu", readers=1))
    assert len(seen) == 10 and len(left.losses) == 5

    torch.manual_seed(3)
    learner = DinoLearner(method)
    student, teacher = learner.student, learner.teacher
    moments = {name: [torch.zeros_like(one), torch.zeros_like(one)] for name, one in student.named_parameters()}
    centre, losses = torch.zeros(7), []
    for step in range(5):
        done = step / 5
        batch = [
            torch.from_numpy(np.stack([one[size] for one in seen[2 * step : 2 * step + 2]], axis=1)).permute(0, 1, 4, 2, 3).float() / 255
            for size in (0, 1)
        ]
        temperature = 0.08 + (0.05 - 0.08) * min(1, done / 0.5)
        with torch.no_grad():
            answers = teacher(batch[0])
        wanted = torch.softmax((answers - centre) / temperature, dim=-1)
        said = [torch.log_softmax(one / 0.13, dim=-1) for crops in batch for one in student(crops)]
        pairs = [(-(wanted[place] * log).sum(-1)).mean() for place in range(2) for other, log in enumerate(said) if other != place]
        loss = torch.stack(pairs).sum() / 8  # of two large crops with the four other crops each
        losses.append(loss.item())
        student.zero_grad()
        loss.backward()
        gradients = {name: one.grad for name, one in student.named_parameters() if one.grad is not None}
        length = math.sqrt(sum(float(one.square().sum()) for one in gradients.values()))
        rate = done / 0.25 if done < 0.25 else 0.2 + 0.8 * cosine((done - 0.25) / 0.75)
        with torch.no_grad():
            for name, one in student.named_parameters():
                gradient = gradients[name] * min(1, 0.5 / (length + 1e-6))
                first, second = moments[name]
                first.mul_(0.9).add_(0.1 * gradient)
                second.mul_(0.999).add_(0.001 * gradient**2)
                speed = 0.01 * (0 if name.startswith("prototypes") and done < 0.3 else rate)
                decay = (0.3 + (0.6 - 0.3) * (1 - cosine(done))) if one.ndim > 1 else 0
                one.mul_(1 - speed * decay)
                one.sub_(speed * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8))
            keep = 1 - (1 - 0.8) * cosine(done)
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.copy_(keep * old + (1 - keep) * new)
            centre = 0.7 * centre + 0.3 * answers.mean(dim=(0, 1))
    assert left.losses == pytest.approx(losses, rel=1e-4)
    found, expected = left.network.state_dict(), teacher.tokens.trunk.state_dict()
    assert all(torch.allclose(found[name], one, atol=1e-4) for name, one in expected.items())


@pytest.mark.parametrize("seed", range(4))
def test_views_written_down_draw_by_draw(dino: Dino, seed: int) -> None:
    method = dataclasses.replace(
        dino,
        large=Crops(count=3, edge=16, smallest=0.5, largest=0.9),
        small=Crops(count=2, edge=24, smallest=0.1, largest=0.3),
        flip=0.4,
        colours=dataclasses.replace(dino.colours, brightness=0.3, hue=0.1),
        colours_share=0.6,
        grey=0.3,
        blur=(0.9, 0.2, 0.5),
        solarised=0.6,
    )
    [image], random = images(1), np.random.default_rng(seed)
    expected: tuple[list[Image], list[Image]] = ([], [])
    for place in range(5):
        smallest, largest, edge = (0.5, 0.9, 16) if place < 3 else (0.1, 0.3, 24)
        area, shape = random.uniform(smallest, largest) * 24 * 40, math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        rows, columns = min(24, round(math.sqrt(area / shape))), min(40, round(math.sqrt(area * shape)))
        top, left = random.integers(0, 24 - rows + 1), random.integers(0, 40 - columns + 1)
        crop: Any = cv2.resize(image[top : top + rows, left : left + columns], (edge, edge), interpolation=cv2.INTER_CUBIC)
        if random.random() < 0.4:
            crop = crop[:, ::-1]
        if random.random() < 0.6:
            crop = method.colours.jitter(crop, random)
        if random.random() < 0.3:
            crop = np.rint(crop @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., None].repeat(3, axis=-1)
        if random.random() < [0.9, 0.2, 0.2, 0.5, 0.5][place]:
            crop = cv2.GaussianBlur(np.ascontiguousarray(crop), (0, 0), sigmaX=random.uniform(0.1, 2))
        if place in (1, 2) and random.random() < 0.6:
            crop = np.where(crop < 128, crop, 255 - crop)
        expected[place > 2].append(crop)
    for found, wanted in zip(method.view(image, np.random.default_rng(seed)), expected, strict=True):
        assert found.dtype == np.uint8 and np.abs(found.astype(int) - np.stack(wanted)).max() <= 1


def test_heads_begin_with_small_random_weights(dino: Dino) -> None:
    torch.manual_seed(0)
    branch: Any = Branch(dataclasses.replace(dino, hidden=128, bottleneck=64, prototypes=256))
    for layer in (branch.head[0], branch.head[2], branch.head[4], branch.prototypes):
        assert 0.019 < float(layer.weight.detach().std()) < 0.021
        assert layer.bias is None or not layer.bias.any()
