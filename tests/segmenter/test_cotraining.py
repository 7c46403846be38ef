"""Two segmenters that learn from each other, and views over which classes of others are pasted."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import InitialWeights
from seedbed.segmenter.cotraining import Cotraining, CotrainingLearner, Lessons, draw_mixed, draw_shapes, find_border, pair_views
from seedbed.segmenter.pseudo_masks import PseudoMasks
from tests.support.learning import NUM_CLASSES, batch, gradients, trained
from tests.support.oracles import deeplab, made_sure

Bytes = npt.NDArray[np.uint8]


@pytest.fixture
def cotraining(small_method: Callable[[str, str], Any]) -> Cotraining:
    made = small_method("segmenter", "cotraining")
    assert isinstance(made, Cotraining)
    return made


def altered(
    method: Cotraining, *, mixing: dict[str, Any] | None = None, boundary: dict[str, Any] | None = None, **others: Any
) -> Cotraining:
    """The same method with other values."""
    changed = dataclasses.replace(
        method,
        mixing=dataclasses.replace(method.mixing, **(mixing or {})),
        boundary=dataclasses.replace(method.boundary, **(boundary or {})),
    )
    return dataclasses.replace(changed, **others)


def learner_of(method: Cotraining) -> CotrainingLearner:
    torch.manual_seed(0)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, CotrainingLearner)
    return made


def many(count: int, *, least: int = 0) -> Batch:
    """Views with random labels, some missing, and random confidence."""
    random = np.random.default_rng(3)
    labels = random.choice([0, 1, 2, 3, 255], (count, 24, 40))
    labels[:, :, 30:] = 255
    maps = {"labels": labels, "confidence": np.where(labels == 255, 0, random.integers(least, 256, labels.shape))}
    return Batch(
        images_BCYX=torch.from_numpy(random.random((count, 3, 24, 40), np.float32)),
        labels_BK=torch.ones(count, 1 + NUM_CLASSES),
        maps_BYX={name: torch.from_numpy(one.astype(np.int64)) for name, one in maps.items()},
    )


# --- What is pasted ---


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [1, 0]), (4, [2, 3, 0, 1]), (5, [2, 3, 0, 1, 4])])
def test_views_of_the_first_half_are_paired_with_those_of_the_second(count: int, expected: list[int]) -> None:
    others = pair_views(torch.zeros(count, 3, 5))
    assert others.tolist() == expected
    assert draw_mixed(others, 1.0).tolist() == [other != own for own, other in enumerate(expected)]
    assert not draw_mixed(others, 0.0).any()


def test_either_direction_is_drawn_by_itself() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([draw_mixed(torch.tensor([1, 0]), 0.3) for _ in range(4000)])
    assert drawn.float().mean(dim=0).tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    assert drawn.all(dim=1).float().mean().item() == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize(("classes", "number"), [([], 0), ([0], 1), ([3], 1), ([1, 3], 1), ([0, 1, 3], 2), ([0, 1, 2, 3], 2)])
def test_half_of_the_classes_are_drawn_rounded_up_and_all_of_their_pixels(classes: list[int], number: int) -> None:
    torch.manual_seed(1)
    labels = torch.tensor([[[*classes, *classes, 255], [*classes[::-1], 255, *classes]]] * 2)
    found = set()
    for _ in range(60):
        for one, shape in zip(labels, draw_shapes(labels, background=True), strict=True):
            drawn = set(one[shape].tolist())
            assert len(drawn) == number and 255 not in drawn and torch.equal(shape, torch.isin(one, torch.tensor([*drawn])))
            found |= drawn
    assert found == set(classes)


def test_background_is_drawn_where_it_is_a_class_alone() -> None:
    labels = torch.tensor([[[0, 0, 2], [255, 0, 2]], [[0, 0, 0], [0, 255, 0]]])
    for _ in range(20):
        one, other = draw_shapes(labels, background=False)
        assert torch.equal(one, labels[0] == 2) and not other.any()
    assert {int(draw_shapes(labels, background=True)[0].sum()) for _ in range(20)} == {2, 3}


def test_images_are_drawn_for_independently() -> None:
    torch.manual_seed(2)
    labels = torch.tensor([[[1, 2, 3, 0]]] * 2)
    assert any(not torch.equal(*draw_shapes(labels, background=True)) for _ in range(20))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_borders_are_those_of_opencv(size: int) -> None:
    shapes = np.random.default_rng(size).random((4, 3, 5)).repeat(6, axis=1).repeat(7, axis=2) < 0.4
    shapes[2], shapes[3] = False, True
    kernel = np.ones((2 * size + 1, 2 * size + 1), np.uint8)
    expected = [cv2.dilate(one.astype(np.uint8), kernel) - cv2.erode(one.astype(np.uint8), kernel) for one in shapes]
    found = find_border(torch.from_numpy(shapes), size).numpy()
    assert np.array_equal(found, np.array(expected) == 1) and found[0].any() and not found[2:].any()


def test_what_is_pasted_is_wholly_of_the_other_image(cotraining: Cotraining) -> None:
    learner = learner_of(altered(cotraining, mixing={"probability": 1.0}))
    given = learner.read(many(5))
    mixed = learner.mix(given, online=False)
    for own, other in enumerate([2, 3, 0, 1]):
        pasted = (mixed.images_BCYX[own] == given.images_BCYX[other]).all(dim=0)
        drawn = given.labels_BYX[other][pasted].unique().tolist()
        assert len(drawn) == 2 and {*drawn} <= {1, 2, 3} and torch.equal(pasted, torch.isin(given.labels_BYX[other], torch.tensor(drawn)))
        for name in ("labels_BYX", "trusted_BYX"):
            was, came, found = getattr(given, name)[own], getattr(given, name)[other], getattr(mixed, name)[own]
            assert torch.equal(found, came.where(pasted, was))
        assert torch.equal(mixed.images_BCYX[own], given.images_BCYX[other].where(pasted, given.images_BCYX[own]))
    assert all(torch.equal(getattr(mixed, field.name)[4], getattr(given, field.name)[4]) for field in dataclasses.fields(Lessons))
    assert not mixed.border_BYX.any()


def test_an_image_without_classes_gives_nothing(cotraining: Cotraining) -> None:
    learner = learner_of(altered(cotraining, mixing={"probability": 1.0}))
    views = many(2)
    views.maps_BYX["labels"][1] = 255
    given = learner.read(views)
    mixed = learner.mix(given, online=False)
    assert torch.equal(mixed.labels_BYX[0], given.labels_BYX[0]) and not torch.equal(mixed.labels_BYX[1], given.labels_BYX[1])


# --- Labels of the networks ---


def says(network: nn.Module, logits: Tensor) -> None:
    """Let a network say the same of everything, class by class. In place."""
    branches = network.branches
    assert isinstance(branches, nn.ModuleList)
    for number, branch in enumerate(branches):
        assert isinstance(branch, nn.Conv2d) and branch.bias is not None
        nn.init.zeros_(branch.weight)
        branch.bias.data = logits.clone() if number == 0 else torch.zeros_like(logits)


@pytest.mark.parametrize(("confidence", "sure"), [(0.6, True), (0.7, False)])
def test_mixed_views_have_the_labels_of_both_networks_where_these_are_sure(cotraining: Cotraining, confidence: float, sure: bool) -> None:
    learner = learner_of(altered(cotraining, mixing={"probability": 1.0, "online_confidence": confidence}))
    says(learner.network, torch.tensor([0.0, 2.0, 0.0, 3.0]))
    says(learner.second, torch.tensor([0.0, 3.0, 1.0, 0.0]))  # means of 0, 2.5, 0.5, 1.5
    expected = torch.tensor([0.0, 2.5, 0.5, 1.5]).softmax(dim=0)[1].item()
    assert 0.6 < expected < 0.7
    given = learner.read(many(3))
    mixed = learner.mix(given, online=True)
    known = given.labels_BYX[:2] != 255
    other_known = given.labels_BYX[[1, 0]] != 255
    pasted = other_known & sure
    assert torch.equal(mixed.trusted_BYX[:2], (known | pasted) & sure)
    assert torch.equal(mixed.labels_BYX[:2], torch.where(known | pasted, 1, 255))
    assert torch.equal(mixed.images_BCYX[0], given.images_BCYX[1].where(pasted[0], given.images_BCYX[0]))
    assert torch.equal(mixed.border_BYX[:2], find_border(pasted, 1)) and mixed.border_BYX.any().item() is sure
    assert torch.equal(mixed.labels_BYX[2], given.labels_BYX[2]) and torch.equal(mixed.trusted_BYX[2], given.trusted_BYX[2])


def test_views_that_are_not_mixed_keep_what_is_given(cotraining: Cotraining) -> None:
    learner, views = learner_of(altered(cotraining, mixing={"probability": 0.0})), many(4)
    given = learner.read(views)
    mixed = learner.mix(given, online=True)
    assert all(torch.equal(getattr(mixed, field.name), getattr(given, field.name)) for field in dataclasses.fields(Lessons))


def test_networks_are_asked_in_evaluation_mode_and_after_the_warm_up_alone(cotraining: Cotraining) -> None:
    trunk = dataclasses.replace(cotraining.backbone, frozen_norms="none")
    learner = learner_of(altered(cotraining, backbone=trunk, mixing={"probability": 1.0, "online_from": 0.4})).train()
    modes: list[tuple[bool, bool]] = []
    for network in (learner.network, learner.second):
        network.register_forward_pre_hook(lambda module, _: modes.append((module.training, torch.is_grad_enabled())))
    norms = [one for one in learner.modules() if isinstance(one, nn.BatchNorm2d)]
    learner(many(2), 0.39)
    assert modes == [(True, True)] * 2
    learner.second.backbone._frozen.append(norms[-1])
    learner(many(2), 0.4)
    assert modes[2:] == [(False, False)] * 2 + [(True, True)] * 2 and learner.training
    counts = [int(one.state_dict()["num_batches_tracked"]) for one in norms]
    assert counts == [*[2] * (len(norms) - 1), 1] and not norms[-1].training, "a frozen norm stays frozen"


def test_where_nothing_is_mixed_nobody_is_asked(cotraining: Cotraining) -> None:
    learner, calls = learner_of(altered(cotraining, mixing={"probability": 0.0, "online_from": 0.0})), list[int]()
    learner.network.register_forward_pre_hook(lambda *_: calls.append(1))
    learner(many(2), 0.9)
    assert len(calls) == 1


def test_in_lower_precision_networks_that_have_been_asked_learn_all_the_same(cotraining: Cotraining) -> None:
    learner = learner_of(altered(cotraining, mixing={"probability": 1.0, "online_from": 0.0})).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = learner(many(2, least=200), 0.5)
    sum(terms.values(), torch.zeros(())).backward()
    assert all(one.grad is not None for one in learner.parameters())


# --- Losses ---


def plain(method: Cotraining, **others: Any) -> Cotraining:
    """Without anything that the networks say."""
    return altered(method, mixing={"probability": 0.0}, boundary={"weight": 0.0}, **{"mutual": 0.0, "least_confidence": 0.0, **others})


def test_alone_a_network_loses_what_pseudo_masks_does_but_over_all_pixels(
    cotraining: Cotraining, small_method: Callable[[str, str], Any]
) -> None:
    learner, views = learner_of(plain(cotraining)).eval(), many(3)
    other: PseudoMasks = small_method("segmenter", "pseudo_masks")
    expected = dataclasses.replace(other, rates=cotraining.rates).learner(NUM_CLASSES, given=Inherited()).eval()
    terms = learner(views, 0.9)
    share = (views.maps_BYX["labels"] != 255).float().mean()
    for name, network in (("first", learner.network), ("second", learner.second)):
        expected.network.load_state_dict(network.state_dict())
        assert terms[name].item() == pytest.approx((expected(views, 0.9)["labels"] * share).item(), rel=1e-5)
    assert terms["first_from_second"].item() == terms["second_from_first"].item() == 0


def test_networks_that_agree_lose_the_same(cotraining: Cotraining) -> None:
    learner = learner_of(altered(cotraining, least_confidence=0.5)).eval()
    learner.second = copy.deepcopy(learner.network)
    terms = learner(many(4), 0.9)
    assert terms["first"].item() == terms["second"].item() > 0
    assert terms["first_from_second"].item() == terms["second_from_first"].item() > 0


def test_what_the_other_says_teaches_one_network_alone(cotraining: Cotraining) -> None:
    learner = learner_of(altered(cotraining, least_confidence=0.5)).train()
    learner(many(2), 0.0)["first_from_second"].backward()
    assert any(one.any() for one in gradients(learner.network)) and not [*gradients(learner.second)]
    learner = learner_of(altered(cotraining, least_confidence=0.5)).train()
    learner(many(2), 0.0)["second_from_first"].backward()
    assert any(one.any() for one in gradients(learner.second)) and not [*gradients(learner.network)]


def test_trusted_pixels_teach_their_label_and_others_what_the_other_network_says(cotraining: Cotraining) -> None:
    learner, views = learner_of(altered(cotraining, least_confidence=0.5, mixing={"probability": 0.0})).eval(), many(2)
    views.maps_BYX["labels"][:], views.maps_BYX["confidence"][:] = 255, 0
    assert [one.item() for one in learner(views, 0.0).values()] == [0, 0, 0, 0]
    views.maps_BYX["labels"][1, 3, 5] = 2
    first, second = (one.detach()[1, :, 3, 5].log_softmax(dim=0) for one in learner.answer(views.images_BCYX))
    pixels = views.maps_BYX["labels"].numel()
    for confidence, expected in (
        (128, [-first[2], -second[2], 0, 0]),  # 127.5 is a half
        (127, [0, 0, -first[second.argmax()], -second[first.argmax()]]),
    ):
        views.maps_BYX["confidence"][1, 3, 5] = confidence
        assert [one.item() * pixels for one in learner(views, 0.0).values()] == pytest.approx(torch.tensor(expected).tolist(), rel=1e-4)


def test_confidence_is_read_where_it_matters_alone(cotraining: Cotraining) -> None:
    method = plain(cotraining)
    assert method.wanted_maps == ("labels",) and dataclasses.replace(method, least_confidence=0.5).wanted_maps == ("labels", "confidence")
    one = batch(["labels", "confidence"], fill={"confidence": 0})
    without = dataclasses.replace(one, maps_BYX={"labels": one.maps_BYX["labels"]})
    learner = learner_of(method)
    assert learner(one, 0.0)["first"].item() == learner(without, 0.0)["first"].item() > 0


# --- Two networks ---


def test_networks_begin_with_the_same_trunk_and_other_last_layers(cotraining: Cotraining) -> None:
    learner = learner_of(cotraining)
    first, second = learner.network, learner.second
    states = first.backbone.state_dict(), second.backbone.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not {one.data_ptr() for one in first.parameters()} & {one.data_ptr() for one in second.parameters()}
    for one, other in zip(first.branches, second.branches, strict=True):
        assert not torch.equal(one.state_dict()["weight"], other.state_dict()["weight"])
    assert isinstance(second.backbone, Backbone) and second.backbone is not first.backbone


def test_both_trunks_begin_as_a_classifier_s_and_what_is_frozen_stays_so(cotraining: Cotraining) -> None:
    weights = InitialWeights(source="classifier", file="", sha256="")
    trunk = dataclasses.replace(cotraining.backbone, initial_weights=weights, frozen_norms="all", frozen_stages=1)
    method = altered(cotraining, backbone=trunk, mixing={"probability": 1.0, "online_from": 0.0})
    start = Backbone("test_resnet", output_stride=8).trunk.state_dict()
    learner: Any = method.learner(NUM_CLASSES, given=Inherited({"start": start})).train()
    for network in (learner.network, learner.second):
        assert all(torch.equal(one, start[name]) for name, one in network.backbone.trunk.state_dict().items())
    learner(many(2), 0.5)
    norms = [one for one in learner.modules() if isinstance(one, nn.BatchNorm2d)]
    assert norms and not any(one.training or one.weight.requires_grad for one in norms)
    frozen = [{name for name, one in network.named_parameters() if not one.requires_grad} for network in (learner.network, learner.second)]
    assert frozen[0] == frozen[1] and any(not name.endswith(("bn1.weight", "bn1.bias")) for name in frozen[0])


def test_two_networks_take_twice_the_memory_of_one(cotraining: Cotraining, small_method: Callable[[str, str], Any]) -> None:
    other: PseudoMasks = small_method("segmenter", "pseudo_masks")
    alone = dataclasses.replace(other, rates=cotraining.rates, scales=(1.0,)).memory({"class": 4})
    assert cotraining.memory({"class": 4}) == 2 * alone
    adam = dataclasses.replace(cotraining, optimiser=dataclasses.replace(cotraining.optimiser, kind="adamw"))
    weights = sum(one.numel() for one in cotraining.network(3).parameters())
    assert adam.memory({"class": 4}) == 2 * alone + 8 * weights


def test_micro_batches_of_one_image_cannot_be_mixed(cotraining: Cotraining) -> None:
    training = dataclasses.replace(cotraining.training, batch_size=4, micro_batches=4)
    with pytest.raises(ValueError, match=r"micro-batches of two images or more, which are mixed, or mixing.probability: 0"):
        dataclasses.replace(cotraining, training=training)
    assert dataclasses.replace(plain(cotraining), training=training).training == training


def test_two_images_are_learned(cotraining: Cotraining, tmp_path: Path) -> None:
    pictures = []
    for number, size in enumerate([(40, 56), (48, 36)]):
        mask = np.full(size, number, np.uint8)
        mask[:, : size[1] // 2] = 2
        image = np.repeat((mask * 100)[..., None], 3, axis=-1)
        sure = np.random.default_rng(number).integers(0, 256, size).astype(np.uint8)
        maps = {"labels": mask, "confidence": sure}
        pictures.append(Sample(image, np.array([True, True, True, False]), maps, {"labels": 255, "confidence": 0}))
    training = dataclasses.replace(cotraining.training, epochs=15.0, batch_size=2)
    optimiser = dataclasses.replace(cotraining.optimiser, learning_rate=0.01, new_layer_factor=1.0)
    method = dataclasses.replace(cotraining, training=training, optimiser=optimiser)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), pictures, tmp_path)
    assert sum(left.log["first"][-3:]) < 0.8 * sum(left.log["first"][:3])
    assert [*left.log] == [
        "loss",
        "first",
        "second",
        "first_from_second",
        "second_from_first",
        "trusted",
        "doubtful",
        "learning_rate",
    ]


# --- As a whole ---


def softmax(logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logs - logs.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("progress", [0.29, 0.3])
def test_the_whole_written_down_pixel_by_pixel(cotraining: Cotraining, progress: float, background: bool) -> None:
    """From bytes to the loss; what is drawn is read off the generator."""
    method = altered(
        cotraining,
        rates=(2, 3),
        least_confidence=0.6,
        mutual=1.7,
        mixing={"probability": 0.7, "background": background, "online_from": 0.3, "online_confidence": 0.7},
        boundary={"size": 2, "weight": 0.9},
    )
    random, count, size = np.random.default_rng(0), 7, (40, 56)
    pixels = random.integers(0, 256, (count, 5, 7, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    pixels = np.asarray(np.clip(pixels.astype(int) + random.integers(-20, 21, pixels.shape), 0, 255), np.uint8)
    labels = (
        random.choice([0, 1, 2, 3, 255], (count, 5, 7), p=[0.4, 0.2, 0.15, 0.15, 0.1]).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    )
    confidence = np.where(labels == 255, 0, random.integers(0, 256, labels.shape)).astype(np.uint8)
    learner = learner_of(method).eval()
    made_sure(learner.network, pixels)
    made_sure(learner.second, pixels)
    with torch.no_grad():
        for branch in learner.second.branches:
            assert isinstance(branch, nn.Conv2d)
            branch.weight += 0.5 * torch.randn(branch.weight.shape, generator=torch.Generator().manual_seed(8))

    torch.manual_seed(11)
    mixed = (torch.rand(count) < 0.7).numpy()
    keys = torch.rand(count, 256).numpy()
    assert set(mixed.tolist()) == {True, False}
    asked = [np.log(deeplab(one, pixels, size=size, rates=(2, 3))) for one in (learner.network, learner.second)]
    said, online = [softmax(one) for one in (asked[0] + asked[1]) / 2], progress >= 0.3
    pairs = {0: 3, 1: 4, 2: 5, 3: 0, 4: 1, 5: 2}

    def known(image: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Labels of an image that is mixed, and where they are trusted."""
        if not online:
            return labels[image], (labels[image] != 255) & (confidence[image] >= 0.6 * 255)
        return np.where(labels[image] == 255, 255, said[image].argmax(axis=0)), (labels[image] != 255) & (said[image].max(axis=0) > 0.7)

    shown, taught, trusted, borders = pixels.copy(), labels.copy(), (labels != 255) & (confidence >= 153), np.zeros(labels.shape, bool)
    for image, other in pairs.items():
        if not mixed[image]:
            continue
        (own, own_trust), (came, came_trust) = known(image), known(other)
        may_go = came_trust if online else np.ones(size, bool)
        classes = [one for one in sorted(set(came[may_go].tolist()) - {255}) if background or one]
        drawn = sorted(classes, key=lambda one: float(keys[other, one]))[: -(-len(classes) // 2)]
        pasted = np.isin(came, drawn) & may_go
        shown[image], taught[image] = np.where(pasted[..., None], pixels[other], pixels[image]), np.where(pasted, came, own)
        trusted[image] = np.where(pasted, came_trust, own_trust)
        if online:
            shape, kernel = pasted.astype(np.uint8), np.ones((5, 5), np.uint8)
            borders[image] = cv2.dilate(shape, kernel) != cv2.erode(shape, kernel)
    assert trusted.any() and (trusted & borders).any() == online and ((taught != 255) & ~trusted).any()

    first, second = (-np.log(deeplab(one, shown, size=size, rates=(2, 3))) for one in (learner.network, learner.second))
    expected = dict.fromkeys(("first", "second", "first_from_second", "second_from_first"), 0.0)
    for image, y, x in np.ndindex(labels.shape):
        one, two, label = first[image, :, y, x], second[image, :, y, x], taught[image, y, x]
        if trusted[image, y, x]:
            weight = 1 + 0.9 * borders[image, y, x]
            expected["first"] += float(weight * one[label]) / labels.size
            expected["second"] += float(weight * two[label]) / labels.size
        elif label != 255:
            expected["first_from_second"] += 1.7 * float(one[two.argmin()]) / labels.size
            expected["second_from_first"] += 1.7 * float(two[one.argmin()]) / labels.size

    views = [
        Sample(image, np.ones(4, bool), {"labels": one, "confidence": sure}, {})
        for image, one, sure in zip(pixels, labels, confidence, strict=True)
    ]
    torch.manual_seed(11)
    found = learner(Batch.of(views).to(torch.device("cpu")), progress)
    assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=2e-4)
    figures = {name: one.item() for name, one in learner.measure_batch().items()}
    assert figures == pytest.approx({"trusted": trusted.mean(), "doubtful": ((taught != 255) & ~trusted).mean()}, abs=1e-3)
