"""The classifier of places, which learns from labels of an earlier round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seedbed.classifier import amn as room
from seedbed.classifier.amn import Amn, AmnLearner, AmnNetwork, look, measure_smoothed
from seedbed.learning.bank import Bank
from seedbed.learning.batches import Batch
from seedbed.learning.contrast import Seen
from seedbed.networks.contracts import Inherited
from tests.support.learning import NUM_CLASSES, batch, unpublished

PRESENT = torch.tensor([[1.0, 0, 1], [0, 1, 0]])


@pytest.fixture
def amn(small_method: Callable[[str, str], Any]) -> Amn:
    """The method, with no parameter at its published value."""
    made = small_method("classifier", "amn")
    assert isinstance(made, Amn)
    return dataclasses.replace(made, rates=(1, 3), dropout=0.0, smoothing=0.3, contrast=unpublished(made.contrast))


def learner_of(method: Amn) -> AmnLearner:
    torch.manual_seed(0)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, AmnLearner)
    for branch in made.network.branches:
        assert isinstance(branch, torch.nn.Conv2d)
        torch.nn.init.normal_(branch.weight, std=0.3)  # so that maps say something
    return made.train()


def without(method: Amn, *parts: str) -> Amn:
    """The method without some of its losses."""
    changes: dict[str, Any] = dict.fromkeys(parts, 0.0)
    return dataclasses.replace(method, contrast=dataclasses.replace(method.contrast, **changes))


# --- Labels ---


def test_labels_are_learned_as_a_transcription_says() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 1 + NUM_CLASSES, 3, 4, generator=generator)
    labels = torch.randint(0, 1 + NUM_CLASSES, (2, 6, 8), generator=generator)
    labels[0, :2] = 255
    logs, sums, counts = logits.log_softmax(dim=1).numpy(), np.zeros(2), np.zeros(2)
    for image, y, x in np.ndindex(2, 3, 4):
        label = int(labels[image, 2 * y + 1, 2 * x + 1])  # the middle of a cell of two by two is the pixel behind it
        if label != 255:
            target = np.full(1 + NUM_CLASSES, 0.3 / NUM_CLASSES)
            target[label] = 0.7
            half = int(label > 0)
            sums[half] -= (target * logs[image, :, y, x]).sum()
            counts[half] += 1
    assert measure_smoothed(logits, labels, 0.3).item() == pytest.approx((sums / counts).mean(), rel=1e-5)


def test_without_smoothing_it_is_the_cross_entropy_of_either_half() -> None:
    logits, labels = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 255]]])
    entropy = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255, reduction="none")[0]
    expected = (entropy[0, 0] + (entropy[0, 1] + entropy[1, 0]) / 2) / 2
    assert measure_smoothed(logits, labels, 0.0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_labels_of_nothing_teach_nothing() -> None:
    logits = torch.randn(1, 3, 2, 2)
    assert measure_smoothed(logits, torch.full((1, 4, 4), 255), 0.4).item() == 0
    one = measure_smoothed(logits, torch.zeros(1, 4, 4, dtype=torch.long), 0.0)
    assert one.item() == pytest.approx(-logits.log_softmax(dim=1)[:, 0].mean().item() / 2, rel=1e-5)


# --- What it shows ---


def test_class_maps_are_probabilities_and_the_score_of_a_class_that_of_its_likeliest_place(amn: Amn) -> None:
    torch.manual_seed(0)
    network = amn.network(NUM_CLASSES).eval()
    images = torch.rand(2, 3, 40, 56)
    maps, scores = network.see(images, [(1, 3), (2,)])
    features = network.backbone(images)
    assert network.condition is not None
    weighted = features * (PRESENT @ network.condition.weight.T + network.condition.bias)[:, :, None, None]
    expected = network.branches(weighted).softmax(dim=1)[:, 1:]
    assert torch.allclose(maps, expected, atol=1e-6)
    assert torch.allclose(scores.sigmoid(), expected.amax(dim=(2, 3)), atol=1e-5)


def test_what_an_image_contains_changes_its_maps_only_if_it_is_told(amn: Amn) -> None:
    images = torch.rand(1, 3, 40, 56)
    told, untold = (dataclasses.replace(amn, conditioned=one).network(NUM_CLASSES).eval() for one in (True, False))
    assert not torch.allclose(told.see(images, [(1,)])[0], told.see(images, [(2, 3)])[0])
    assert torch.equal(told(images)[0], told.see(images, [(1, 2, 3)])[0])
    assert torch.equal(untold.see(images, [(1,)])[0], untold(images)[0]) and untold.condition is None


def test_where_logits_show_what() -> None:
    logits = torch.randn(2, 1 + NUM_CLASSES, 3, 4, generator=torch.Generator().manual_seed(2))
    seen, probable = look(logits, PRESENT), logits.softmax(dim=1)
    assert torch.equal(seen.probabilities_BKyx, probable)
    for image, label in np.ndindex(2, 1 + NUM_CLASSES):
        own = probable[image, label]
        expected = (own - own.min()) / (own.max() - own.min() + 1e-5)
        there = label == 0 or PRESENT[image, label - 1] > 0
        assert torch.allclose(seen.scores_BKyx[image, label], expected * float(there))
    assert torch.equal(seen.labels_Byx, seen.scores_BKyx.argmax(dim=1)) and {0, 2} == {*seen.labels_Byx[1].flatten().tolist()}


# --- The whole ---


def test_the_whole_loss_is_that_of_a_plain_transcription(amn: Amn, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Tensor, Tensor, Seen, Bank | None]] = []

    def compare(foreground: Tensor, background: Tensor, seen: Seen, contrast: object, bank: Bank | None) -> dict[str, Tensor]:
        assert contrast == amn.contrast
        compared.append((foreground, background, seen, bank))
        return {"background": foreground.square().sum(), "foreground": background.sum()}

    monkeypatch.setattr(room, "compare_places", compare)
    learner, given = learner_of(amn), batch(["labels"])
    terms = learner(given, 0.5)
    network, projections = learner.network, learner.projections
    assert projections is not None and network.condition is not None
    present = given.labels_BK[:, 1:]
    features = network.backbone(given.images_BCYX) * network.condition(present)[:, :, None, None]
    logits = torch.zeros(())
    for branch, rate in zip(network.branches, (1, 3), strict=True):
        assert isinstance(branch, torch.nn.Conv2d)
        logits = logits + torch.nn.functional.conv2d(features, branch.weight, branch.bias, padding=rate, dilation=rate)
    one, other = (torch.nn.functional.conv2d(features, each.weight).relu() for each in (projections.foreground, projections.background))
    flat, against = (each.movedim(1, -1).flatten(0, 2) for each in (one, other))
    expected = {
        "labels": measure_smoothed(logits, given.maps_BYX["labels"], 0.3).item(),
        "apart": 0.2 * torch.nn.functional.cosine_similarity(flat, against, dim=1).mean().item(),
        "background": one.square().sum().item(),
        "foreground": other.sum().item(),
    }
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)
    fore, back, found, bank = compared[0]
    assert torch.allclose(fore, one, atol=1e-5) and torch.allclose(back, other, atol=1e-5) and bank is learner.bank
    assert torch.allclose(found.scores_BKyx, look(logits, present).scores_BKyx, atol=1e-4) and not found.scores_BKyx.requires_grad


def test_each_contrast_can_be_off_and_then_costs_nothing(amn: Amn) -> None:
    plain = learner_of(without(amn, "background", "foreground", "apart"))
    assert list(plain(batch(["labels"]), 0.5)) == ["labels"] and plain.projections is None and plain.bank is None
    for part in ("background", "foreground", "apart"):
        learner = learner_of(without(amn, part))
        assert set(learner(batch(["labels"]), 0.5)) == {"labels", "background", "foreground", "apart"} - {part}
        assert (learner.bank is None) == (part == "background")


def test_every_loss_reaches_backbone_and_its_own_layers(amn: Amn) -> None:
    owners = {
        "labels": {"network.condition", "network.branches"},
        "apart": {"network.condition", "projections"},
        "background": {"network.condition", "projections"},
        "foreground": {"network.condition", "projections"},
    }
    learner = learner_of(amn)
    terms = learner(batch(["labels"]), 0.5)
    for name, layers in owners.items():
        learner.zero_grad()
        terms[name].backward(retain_graph=True)
        moved = {one for one, weight in learner.named_parameters() if weight.grad is not None and weight.grad.abs().sum() > 0}
        found = {".".join(one.split(".")[: 2 if one.startswith("network") else 1]) for one in moved}
        assert found == layers | {"network.backbone"}


def test_only_the_network_is_kept_and_the_bank_is_in_checkpoints(amn: Amn) -> None:
    learner = learner_of(amn)
    assert isinstance(learner.network, AmnNetwork)
    assert {name.partition(".")[0] for name in learner.network.state_dict()} == {"backbone", "condition", "branches"}
    assert {"bank.held", "bank.added"} < set(learner.state_dict())
    optimised = {id(one) for group in learner.optimizers()[0].optimizer.param_groups for one in group["params"]}
    assert optimised == {id(one) for one in learner.parameters()}


@pytest.mark.parametrize("labels", [[[1.0, 0, 0, 0]] * 2, [[1.0, 1, 1, 1]] * 2, [[1.0, 0, 1, 0]] * 2])
def test_batches_without_classes_of_all_or_of_one(amn: Amn, labels: list[list[float]]) -> None:
    view = batch(["labels"])
    terms = learner_of(amn)(Batch(view.images_BCYX, torch.tensor(labels), view.maps_BYX), 0.5)
    assert all(torch.isfinite(one) for one in terms.values())
    assert (terms["foreground"].item() > 0) == (sum(labels[0]) > 2)


def test_memory_counts_the_bank(amn: Amn) -> None:
    extents = {"class": NUM_CLASSES + 1}
    large = dataclasses.replace(amn, contrast=dataclasses.replace(amn.contrast, capacity=100_000))
    assert large.memory(extents) - amn.memory(extents) == (100_000 - 9) * 7 * 4
    adam = dataclasses.replace(amn, optimiser=dataclasses.replace(amn.optimiser, kind="adam"))
    weights = sum(one.numel() for one in amn.network(NUM_CLASSES).parameters())
    assert adam.memory(extents) - amn.memory(extents) == 4 * weights
