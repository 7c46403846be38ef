"""The segmenter that learns from saliency, and from what a classifier still sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.learner import Frozen
from seedbed.learning.optimisers import Descent
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import ClassifierNetwork, Inherited, SegmentationNetwork
from seedbed.segmenter.masking import Masking, MaskingLearner, erase, join_classes
from tests.support.learning import NUM_CLASSES, batch, gradients, small_classifier, trained
from tests.support.oracles import deeplab, made_sure


@pytest.fixture
def masking(small_method: Callable[[str, str], Any]) -> Masking:
    made = small_method("segmenter", "masking")
    assert isinstance(made, Masking)
    return made


def learner_of(method: Masking, classifier: ClassifierNetwork | None = None) -> MaskingLearner:
    """What is trained, judged by a small classifier unless there is another."""
    made = method.learner(NUM_CLASSES, given=Inherited(classifier=classifier or small_classifier()))
    assert isinstance(made, MaskingLearner)
    return made


class Saying(SegmentationNetwork):
    """Says the same of every image."""

    def __init__(self, probabilities: Tensor) -> None:
        super().__init__()
        self.probabilities = probabilities

    def forward(self, images_BCYX: Tensor) -> Tensor:
        return self.probabilities.clamp(min=1e-9).log()


# --- Saliency ---


def test_classes_of_the_image_count_together_and_others_for_nothing() -> None:
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().view(1, 4, 1, 1)
    for present, expected in (([True, False, True], 0.6), ([True, True, True], 0.9), ([False, True, False], 0.3)):
        joined = join_classes(shares, torch.tensor([present])).exp().flatten()
        assert joined.tolist() == pytest.approx([0.1, expected])


def saliency_loss(probabilities: Tensor, objects: list[list[int]], present: list[bool], method: Masking) -> float:
    """The loss of saliency where the network says these probabilities (1, 1 + K, Y, X), whatever it is shown."""
    learner: Any = learner_of(dataclasses.replace(method, attention=0.0, scales=(1.0,)))
    learner.network = Saying(probabilities)
    height, width = probabilities.shape[-2:]
    views = Batch(torch.rand(1, 3, height, width), torch.tensor([[True, *present]]).float(), {"objects": torch.tensor([objects])})
    return float(learner(views, 0.0)["saliency"])


def test_background_and_objects_weigh_the_same_however_many_pixels_they_have(masking: Masking) -> None:
    probabilities = torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.3, 0.3, 0.3, 0.7], [0.2, 0.2, 0.2, 0.2]]).view(1, 3, 1, 4)
    expected = -math.log(0.5) - math.log(0.7)
    assert saliency_loss(probabilities, [[0, 0, 0, 1]], [True, False], masking) == pytest.approx(expected)
    assert saliency_loss(probabilities, [[0, 255, 255, 1]], [True, False], masking) == pytest.approx(expected)


def test_a_class_that_is_absent_is_wrong_everywhere(masking: Masking) -> None:
    right = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.0, 0.0]]).view(1, 3, 1, 2) + 1e-6
    absent = torch.tensor([[0.1, 0.1], [0.1, 0.1], [0.8, 0.8]]).view(1, 3, 1, 2)
    for objects in ([[0, 1]], [[0, 0]], [[1, 1]]):
        assert saliency_loss(absent, objects, [True, False], masking) >= -math.log(0.1) - 1e-4
    assert saliency_loss(right, [[0, 1]], [True, False], masking) == pytest.approx(-2 * math.log(0.9), abs=1e-3)


def test_images_without_objects_or_of_nothing_else(masking: Masking) -> None:
    probabilities = torch.tensor([[0.4, 0.2], [0.6, 0.8]]).view(1, 2, 1, 2)
    assert saliency_loss(probabilities, [[0, 0]], [True], masking) == pytest.approx(-(math.log(0.4) + math.log(0.2)) / 2)
    assert saliency_loss(probabilities, [[1, 1]], [True], masking) == pytest.approx(-(math.log(0.6) + math.log(0.8)) / 2)
    assert saliency_loss(probabilities, [[255, 255]], [True], masking) == 0


def test_an_image_of_no_class_teaches_background_alone(masking: Masking) -> None:
    probabilities = torch.tensor([[0.4, 0.2], [0.6, 0.8]]).view(1, 2, 1, 2)
    assert saliency_loss(probabilities, [[0, 1]], [False], masking) == pytest.approx(-math.log(0.4))
    learner, one = learner_of(masking), batch(["objects"])
    one.labels_BK[:, 1:] = 0
    terms = learner(one, 0.0)
    assert terms["attention"].item() == 0 < terms["saliency"].item()
    sum(terms.values(), torch.zeros(())).backward()
    assert all(grad.isfinite().all() for grad in gradients(learner.network))


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
def test_every_size_of_the_input_is_learned_from(masking: Masking, over_scales: Literal["mean", "sum"]) -> None:
    method, one = dataclasses.replace(masking, over_scales=over_scales, attention=0.0), batch(["objects"])
    torch.manual_seed(0)
    both = learner_of(dataclasses.replace(method, scales=(1.0, 0.5))).eval()
    apart = [learner_of(dataclasses.replace(method, scales=(scale,))).eval() for scale in (1.0, 0.5)]
    for each in apart:
        each.network.load_state_dict(both.network.state_dict())
    losses = [each(one, 0.0)["saliency"].item() for each in apart]
    assert both(one, 0.0)["saliency"].item() == pytest.approx(sum(losses) / (2 if over_scales == "mean" else 1), rel=1e-5)


# --- What a classifier sees of what is left ---


def test_what_is_erased_has_the_colour_and_nothing_else_is_changed() -> None:
    images, colour = torch.rand(2, 3, 4, 5), torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1)
    answers = torch.rand(2, 3, 4, 5).softmax(dim=1)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert torch.allclose(erase(images, answers, nothing, colour_1C11=colour), images, atol=1e-6)
    sure = torch.zeros(2, 3, 4, 5)
    sure[:, 1, :, :2] = 1
    left = erase(images, sure, torch.tensor([[False, True, False]] * 2), colour_1C11=colour)
    assert torch.allclose(left[..., :2], colour.expand(2, 3, 4, 2)) and torch.allclose(left[..., 2:], images[..., 2:], atol=1e-6)
    half = erase(images, answers, torch.tensor([[True, True, False]] * 2), colour_1C11=colour)
    share = answers[:, :2].sum(dim=1, keepdim=True)
    assert torch.allclose(half, (1 - share) * images + share * colour, atol=1e-6)


def test_the_classifier_stays_as_it_is_and_the_network_learns_through_it(masking: Masking, tmp_path: Path) -> None:
    classifier = small_classifier()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    learner, one = learner_of(dataclasses.replace(masking, erased_share=1.0), classifier).train(), batch(["objects"])
    assert not classifier.training and not [name for name in learner.state_dict() if not name.startswith("network.")]
    learner(one, 0.0)["attention"].backward()
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert any(grad.any() for grad in gradients(learner.network))
    pictures = [Sample(np.full((40, 56, 3), 9, np.uint8), np.ones(4, bool), {"objects": np.ones((40, 56), np.uint8)}, {"objects": 255})] * 3
    left = trained(masking, partial(masking.learner, NUM_CLASSES, given=Inherited(classifier=classifier)), pictures, tmp_path, seconds=0)
    assert {*left.network.state_dict()} == {*masking.network(NUM_CLASSES).state_dict()}
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_without_attention_no_classifier_is_asked(masking: Masking) -> None:
    alone = dataclasses.replace(masking, attention=0.0)
    assert "classifier" in alone.unread and "classifier" not in masking.unread
    assert learner_of(alone).classifier is None and [*learner_of(alone)(batch(["objects"]), 0.0)] == ["saliency"]
    assert alone.memory({"class": 4}) < masking.memory({"class": 4}) < dataclasses.replace(masking, paths=3).memory({"class": 4})


def judged_by(means: Callable[[Tensor], Tensor]) -> ClassifierNetwork:
    """A classifier whose logits are a plain function of the image."""

    class Plain(ClassifierNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Backbone("test_resnet", output_stride=16)
            self.backbone.mean.zero_()

        def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
            return images_BCYX, means(images_BCYX)

    return Plain()


def test_the_more_of_an_object_is_erased_the_better(masking: Masking) -> None:
    """Class 1 is red: a classifier that goes by the mean of that channel is fooled by what is left."""
    method = dataclasses.replace(masking, erased_share=1.0, scales=(1.0,), attention=3.0)
    image = torch.zeros(1, 3, 4, 8)
    image[:, 0, :, :4] = 1
    views = Batch(image, torch.tensor([[1.0, 1, 0, 0]]), {"objects": torch.full((1, 4, 8), 255)})

    def loss(covered: float) -> float:
        learner: Any = learner_of(method, judged_by(lambda images: 20 * images.mean(dim=(2, 3)) - 1))
        answers = torch.full((1, 4, 4, 8), 1e-9)
        answers[:, 1, :, :4], answers[:, 0, :, :4], answers[:, 0, :, 4:] = covered, 1 - covered, 1
        learner.network = Saying(answers)
        return float(learner(views, 0.0)["attention"])

    losses = [loss(covered) for covered in (0.0, 0.3, 0.6, 1.0)]
    assert losses == sorted(losses, reverse=True) and losses[0] == pytest.approx(3 * math.log(1 + math.exp(9)), rel=1e-4)
    assert losses[-1] == pytest.approx(3 * math.log(1 + math.exp(-1)), rel=1e-3)


def test_paths_are_averaged(masking: Masking) -> None:
    one = batch(["objects"])
    seen: list[Tensor] = []

    def means(images: Tensor) -> Tensor:
        seen.append(images)
        return 5 * images.mean(dim=(2, 3)) - 2

    learner = learner_of(dataclasses.replace(masking, paths=4), judged_by(means)).eval()
    torch.manual_seed(3)
    several = learner(one, 0.0)["attention"].item()
    assert len(seen) == 4 and not all(torch.equal(seen[0], other) for other in seen[1:])
    alone = learner_of(dataclasses.replace(masking, paths=1), judged_by(means)).eval()
    alone.network.load_state_dict(learner.network.state_dict())
    torch.manual_seed(3)
    assert several == pytest.approx(sum(alone(one, 0.0)["attention"].item() for _ in range(4)) / 4, rel=1e-5)


@pytest.mark.parametrize("colour", [(1, 2), (1, 2, 3, 4)])
def test_a_colour_has_three_parts_or_none(masking: Masking, colour: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="an erased_colour of three numbers, or of none"):
        dataclasses.replace(masking, erased_colour=colour)


# --- As a whole ---


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
@pytest.mark.parametrize("erased_by", ["first_scale", "mean"])
@pytest.mark.parametrize("colour", [(), (30, 180, 90)])
def test_the_whole_written_down_pixel_by_pixel(
    masking: Masking, over_scales: Literal["mean", "sum"], erased_by: Literal["first_scale", "mean"], colour: tuple[int, ...]
) -> None:
    """From bytes to the loss; what is drawn is read off the generator."""
    method = dataclasses.replace(masking, rates=(2, 3), scales=(1.25, 0.5), over_scales=over_scales, attention=1.7)
    method = dataclasses.replace(method, paths=2, erased_share=0.6, erased_by=erased_by, erased_colour=colour)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    objects = random.choice([0, 1, 255], (2, 40, 56)).astype(np.uint8)
    contained = np.array([[True, True, False, True], [True, False, True, False]])
    classifier = small_classifier()
    learner = learner_of(method, classifier).eval()
    made_sure(learner.network, pixels)
    views = [Sample(one, labels, {"objects": which}, {}) for one, labels, which in zip(pixels, contained, objects, strict=True)]
    both = [deeplab(learner.network, pixels, size=size, rates=(2, 3)) for size in ((50, 70), (20, 28))]

    losses = []
    for said in both:
        of_images = []
        for image in range(2):
            parts: dict[int, list[float]] = {0: [], 1: []}
            for y, x in np.ndindex(40, 56):
                if (kind := int(objects[image, y, x])) != 255:
                    classes = [0] if kind == 0 else [c for c in (1, 2, 3) if contained[image, c]]
                    parts[kind].append(-math.log(sum(said[image, c, y, x] for c in classes)))
            of_images.append(sum(sum(part) / len(part) for part in parts.values()))
        losses.append(sum(of_images) / 2)
    saliency = sum(losses) / (2 if over_scales == "mean" else 1)

    erasing = both[0] if erased_by == "first_scale" else (both[0] + both[1]) / 2
    mean = np.array(colour) / 255 if colour else classifier.backbone.mean.flatten().numpy().astype(np.float64)
    torch.manual_seed(11)
    drawn = [(torch.rand(2, 3) < 0.6).numpy() for _ in range(2)]
    paths = []
    for erased in drawn:
        of_images = []
        for image in range(2):
            gone = [c for c in (1, 2, 3) if contained[image, c] and erased[image, c - 1]]
            kept = 1 - sum((erasing[image, c] for c in gone), np.zeros((40, 56)))
            left = kept[..., None] * (pixels[image] / 255 - mean) + mean
            with torch.no_grad():
                _, logits = classifier(torch.from_numpy(left).permute(2, 0, 1)[None].float())
            terms = []
            for c in (1, 2, 3):
                if contained[image, c]:
                    probability = 1 / (1 + math.exp(-logits[0, c - 1].item()))
                    terms.append(-math.log(1 - probability if c in gone else probability))
            of_images.append(sum(terms) / len(terms))
        paths.append(sum(of_images) / 2)
    assert len({one.tobytes() for one in drawn}) == 2

    torch.manual_seed(11)
    terms_found = learner(Batch.of(views).to(torch.device("cpu")), 0.0)
    assert terms_found["saliency"].item() == pytest.approx(saliency, rel=1e-4)
    assert terms_found["attention"].item() == pytest.approx(1.7 * sum(paths) / 2, rel=1e-3)


def test_what_learns_how_fast(masking: Masking) -> None:
    descent = Descent(
        learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"
    )
    learner = learner_of(dataclasses.replace(masking, descent=descent))
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(one) for one in learner.network.branches.parameters()]
    assert (old["lr"], new["lr"], old["momentum"], old["weight_decay"]) == (0.03, pytest.approx(0.21), 0.6, 0.02)
    assert isinstance(learner.classifier, Frozen)
