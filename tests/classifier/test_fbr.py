"""The classifier that learns what the grounds are like on which things stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.classifier import fbr as room
from seedbed.classifier.fbr import (
    Explanation,
    Fbr,
    FbrLearner,
    Views,
    look,
    measure_unexplained,
    show_background,
    shrink,
)
from seedbed.learning.bank import Bank
from seedbed.learning.batches import Batch
from seedbed.learning.contrast import Seen
from seedbed.networks.contracts import Inherited
from tests.support.learning import NUM_CLASSES, batch, samples, trained, unpublished

PRESENT = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
EXPLANATION = Explanation(weight=0.6, overlap=0.45, balance=0.7)


@pytest.fixture
def fbr(small_method: Callable[[str, str], Any]) -> Fbr:
    """The method, with no parameter at its published value."""
    made = small_method("classifier", "fbr")
    assert isinstance(made, Fbr)
    return dataclasses.replace(
        made,
        pooled_above=0.2,
        shown_above=0.35,
        cells=4,
        contrast=unpublished(made.contrast),
        segmentation=dataclasses.replace(made.segmentation, weight=0.4, below=0.5, dropout=0.0),
        saliency=EXPLANATION,
        second_view=dataclasses.replace(made.second_view, kind="shrunk", edge=32, smallest_scale=0.4, largest_scale=0.6),
    )


def learner_of(method: Fbr) -> FbrLearner:
    torch.manual_seed(0)
    made = method.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(made, FbrLearner)
    torch.nn.init.normal_(made.network.head.weight, std=0.3)  # so that maps say something
    return made.train()


def without(method: Fbr, *parts: str) -> Fbr:
    """The method without some of its losses."""
    changes: dict[str, Any] = {}
    for part in parts:
        if part in ("background", "foreground", "apart"):
            changes["contrast"] = dataclasses.replace(changes.get("contrast", method.contrast), **{part: 0.0})
        else:
            changes[part] = dataclasses.replace(getattr(method, part), **{"kind": "none"} if part == "second_view" else {"weight": 0.0})
    return dataclasses.replace(method, **changes)


def some_maps(*, seed: int = 0) -> Tensor:
    """Signed scores of two images."""
    return torch.randn(2, NUM_CLASSES, 3, 4, generator=torch.Generator().manual_seed(seed))


def views(names: tuple[str, ...] = ("objects",), **options: Any) -> Views:
    return Views([batch(names, **options)])


# --- What maps show ---


def test_where_class_maps_show_what() -> None:
    maps = torch.tensor([[[[5.0, 3.0, 0.2, -7.0]], [[-1.0, 9.0, 9.0, 9.0]]]])
    seen = look(maps, torch.tensor([[1.0, 0.0]]), 0.1)
    assert seen.scores_BKyx[0, 1].flatten().tolist() == pytest.approx([1, 0.6, 0.04, 0], abs=1e-4)
    assert seen.scores_BKyx[0, 0].flatten().tolist() == pytest.approx([0.1] * 4) and not seen.scores_BKyx[0, 2].any()
    assert seen.labels_Byx.flatten().tolist() == [1, 1, 0, 0]
    assert torch.allclose(seen.probabilities_BKyx, seen.scores_BKyx.softmax(dim=1))
    assert seen.probabilities_BKyx[0, :, 0, 3].tolist() == pytest.approx(torch.tensor([0.1, 0, 0]).softmax(dim=0).tolist(), abs=1e-5)


def test_the_lowest_positive_score_of_a_map_is_none() -> None:
    seen = look(torch.tensor([[[[5.0, 4.0, 3.0]]]]), torch.ones(1, 1), 0.1)
    assert seen.scores_BKyx[0, 1].flatten().tolist() == pytest.approx([1, 0.5, 0], abs=1e-4)


def test_background_is_where_classes_that_are_there_are_low_together() -> None:
    maps = torch.tensor([[[[4.0, 1.0, 1.0, -3.0]], [[0.0, 0.3, 3.0, -1.0]], [[9.0, 9.0, 9.0, 9.0]]]])
    assert show_background(maps, torch.tensor([[1.0, 1.0, 0.0]]), 0.36).tolist() == [[[0, 1, 0, 1]]]  # 1, 0.35, 1.25, 0
    assert show_background(maps, torch.tensor([[1.0, 1.0, 0.0]]), 0.34).tolist() == [[[0, 0, 0, 1]]]
    assert show_background(maps, torch.tensor([[1.0, 0.0, 0.0]]), 0.34).tolist() == [[[0, 1, 1, 1]]]


# --- Saliency ---


def explain(scores: Tensor, objects: Tensor, labels: Tensor = PRESENT, **changes: Any) -> Tensor:
    return measure_unexplained(scores.softmax(dim=1), labels, objects, dataclasses.replace(EXPLANATION, **changes))


def test_maps_that_say_what_saliency_says_leave_nothing() -> None:
    objects = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]])
    scores = torch.full((2, 1 + NUM_CLASSES, 1, 4), -50.0)
    scores[:, 0][objects == 0] = 50.0
    scores[0, 3][objects[0] == 1] = scores[1, 2][objects[1] == 1] = 50.0
    assert explain(scores, objects).item() == pytest.approx(0, abs=1e-6)
    assert explain(scores, 1 - objects).item() == pytest.approx(0.5)
    assert explain(scores, torch.full_like(objects, 255)).item() == 0


def test_saliency_is_explained_as_a_transcription_says() -> None:
    """A class whose places are salient is object; another one is background, beside background's own map; absent ones are neither."""
    generator = torch.Generator().manual_seed(3)
    scores = 4 * torch.randn(2, 1 + NUM_CLASSES, 4, 5, generator=generator)
    objects = torch.randint(0, 2, (2, 8, 10), generator=generator)
    objects[1, 4:6] = 255
    small = objects[:, ::2, ::2].numpy()
    probable, errors, kinds = scores.softmax(dim=1).numpy(), [], set()
    for image in range(2):
        as_object, as_background = np.zeros((4, 5)), probable[image, 0].copy()
        for label in range(NUM_CLASSES):
            if PRESENT[image, label]:
                said = probable[image, 1 + label] > 0.5
                salient = (said & (small[image] == 1)).sum() / (said.sum() + 4 * 5 * 1e-4) > 0.45
                kinds.add(bool(salient))
                (as_object if salient else as_background)[...] += probable[image, 1 + label]
        explained = 0.7 * as_object + 0.3 * (1 - as_background)
        errors.extend(((explained - (small[image] == 1)) ** 2)[small[image] != 255])
    assert kinds == {True, False}
    assert explain(scores, objects).item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_with_saliency_class_maps_are_probabilities_against_background(fbr: Fbr) -> None:
    torch.manual_seed(0)
    network = fbr.network(NUM_CLASSES).eval()
    images = torch.rand(2, 3, 40, 56)
    maps, logits = network(images)
    features = network.backbone(images)
    assert network.background is not None
    expected = torch.cat([network.background(features), network.head(features)], dim=1).softmax(dim=1)[:, 1:]
    assert torch.allclose(maps, expected) and torch.equal(logits, network.score(features)[1])
    plain = without(fbr, "saliency").network(NUM_CLASSES).eval()
    assert plain.background is None and torch.equal(plain(images)[0], plain.head(plain.backbone(images)))


# --- The whole ---


def test_the_whole_loss_is_that_of_a_plain_transcription(fbr: Fbr, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fbr.contrast
    compared: list[tuple[Tensor, Tensor, Seen, Bank | None]] = []

    def compare(foreground: Tensor, background: Tensor, seen: Seen, contrast: object, bank: Bank | None) -> dict[str, Tensor]:
        assert contrast == given
        compared.append((foreground, background, seen, bank))
        return {"background": foreground.square().sum(), "foreground": background.sum()}

    monkeypatch.setattr(room, "compare_places", compare)
    learner, first = learner_of(fbr), batch(["objects"])
    terms = learner(Views([first]), 0.5)
    assert list(terms) == ["classes", "saliency", "segmentation", "apart", "background", "foreground"]
    expected = dict.fromkeys(terms, 0.0)
    small = functional.interpolate(first.images_BCYX, size=(32, 32), mode="bilinear", align_corners=True)
    network, projections, told = learner.network, learner.projections, learner.told
    assert projections is not None and told is not None and network.background is not None
    for number, images in enumerate((first.images_BCYX, small)):
        features, labels = network.backbone(images), first.labels_BK[:, 1:]
        highest = features.amax(dim=(2, 3), keepdim=True)
        counted = features > 0.2 * highest
        scores = (features * counted).sum(dim=(2, 3)) / counted.sum(dim=(2, 3)).clamp(min=1) @ network.head.weight[:, :, 0, 0].T
        expected["classes"] += functional.multilabel_soft_margin_loss(scores, labels).item() / 2
        maps = network.head(features)
        objects = first.maps_BYX["objects"]
        if number:
            places = (torch.arange(32) * 40 // 32, torch.arange(32) * 56 // 32)
            objects = objects[:, places[0]][:, :, places[1]]
        against = torch.cat([network.background(features), maps], dim=1).softmax(dim=1)
        expected["saliency"] += 0.6 * measure_unexplained(against, labels, objects, EXPLANATION).item() / 2
        foreground, raw = (functional.conv2d(features, one.weight) for one in (projections.foreground, projections.background))
        mean, variance = raw.mean(dim=(0, 2, 3), keepdim=True), raw.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
        normed = ((raw - mean) / (variance + 1e-5).sqrt() + 1e-4).relu()
        said = functional.conv2d(normed, told.classify.weight)[:, 0].sigmoid()
        target = show_background(maps, labels, 0.5)
        expected["segmentation"] += 0.4 * -(target * said.log() + (1 - target) * (1 - said).log()).mean().item() / 2
        one, other = foreground.relu().movedim(1, -1).flatten(0, 2), normed.movedim(1, -1).flatten(0, 2)
        expected["apart"] += 0.2 * functional.cosine_similarity(one, other, dim=1).mean().item() / 2
        onto_grid = partial(functional.interpolate, size=(4, 4), mode="bilinear", align_corners=True)
        seen = look(onto_grid(maps), labels, 0.35)
        fore, back, found, bank = compared[number]
        assert torch.allclose(fore, onto_grid(foreground.relu()), atol=1e-5) and torch.allclose(back, onto_grid(raw.relu()), atol=1e-5)
        assert torch.allclose(found.scores_BKyx, seen.scores_BKyx, atol=1e-4) and found.labels_Byx.equal(seen.labels_Byx)
        assert bank is learner.banks[number] and fore.requires_grad and not found.scores_BKyx.requires_grad
        expected["background"] += fore.square().sum().item() / 2
        expected["foreground"] += back.sum().item() / 2
    assert {name: one.item() for name, one in terms.items()} == pytest.approx(expected, rel=1e-3)
    assert all(abs(one.item()) > 1e-4 for one in terms.values())


def test_with_everything_off_it_is_the_plain_classifier_to_the_bit(
    fbr: Fbr, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    cam = small_method("classifier", "cam")
    shared = {name: getattr(fbr, name) for name in ("backbone", "augmentation", "training", "descent")}
    off = without(fbr, "background", "foreground", "apart", "segmentation", "saliency", "second_view")
    assert off.wanted_maps == () and fbr.wanted_maps == ("objects",)
    for above in ("none", 0.3):
        pair = (dataclasses.replace(cam, **shared, pooled_above=above), dataclasses.replace(off, pooled_above=above))
        made = [
            trained(one, partial(one.learner, NUM_CLASSES, given=Inherited()), samples([]), tmp_path / f"{type(one).__name__}{above}")
            for one in pair
        ]
        weights, others = (dict(one.weights) for one in made)
        assert list(weights) == list(others) and all((weights[name] == others[name]).all() for name in weights)
        assert made[0].losses == made[1].losses


def test_each_part_can_be_off_and_then_costs_nothing(fbr: Fbr) -> None:
    off = without(fbr, "background", "foreground", "apart", "segmentation", "saliency", "second_view")
    learner = learner_of(off)
    assert list(learner(views(()), 0.5)) == ["classes"]
    assert learner.projections is None and learner.told is None and not learner.banks
    for part in ("background", "foreground", "apart", "segmentation", "saliency"):
        learner = learner_of(without(fbr, part))
        assert set(learner(views(), 0.5)) == {"classes", "background", "foreground", "apart", "segmentation", "saliency"} - {part}
    assert len(learner_of(fbr).banks) == 2 and len(learner_of(without(fbr, "second_view")).banks) == 1
    assert not learner_of(without(fbr, "background")).banks


def test_every_loss_reaches_backbone_and_its_own_layers(fbr: Fbr) -> None:
    owners = {
        "classes": {"network.head"},
        "saliency": {"network.head", "network.background"},
        "segmentation": {"projections.background", "told.norm", "told.classify"},
        "apart": {"projections.foreground", "projections.background", "told.norm"},
        "background": {"projections.foreground"},
        "foreground": {"projections.foreground"},
    }
    learner = learner_of(fbr)
    terms = learner(views(), 0.5)
    for name, layers in owners.items():
        learner.zero_grad()
        terms[name].backward(retain_graph=True)
        moved = {one for one, weight in learner.named_parameters() if weight.grad is not None and weight.grad.abs().sum() > 0}
        assert {one.rpartition(".")[0] for one in moved if not one.startswith("network.backbone")} == layers
        assert any(one.startswith("network.backbone") for one in moved)


def test_only_backbone_and_maps_are_kept_and_the_bank_is_in_checkpoints(fbr: Fbr) -> None:
    learner = learner_of(fbr)
    assert {name.partition(".")[0] for name in learner.network.state_dict()} == {"backbone", "head", "background"}
    assert {"banks.0.held", "banks.1.added", "told.norm.running_mean", "projections.foreground.weight"} < set(learner.state_dict())
    optimised = {id(one) for group in learner.optimizers()[0].optimizer.param_groups for one in group["params"]}
    assert optimised == {id(one) for one in learner.parameters()}


# --- Two views ---


def test_a_shrunk_view_is_the_first_one_smaller() -> None:
    view = batch(["objects"])
    small = shrink(view, 20)
    assert small.images_BCYX.shape == (2, 3, 20, 20) and small.maps_BYX["objects"].shape == (2, 20, 20)
    assert torch.equal(small.maps_BYX["objects"][:, 0, 0], view.maps_BYX["objects"][:, 0, 0])
    assert torch.equal(small.images_BCYX[:, :, -1, -1], view.images_BCYX[:, :, -1, -1])  # corners stay corners
    assert small.labels_BK is view.labels_BK


def test_a_cropped_view_has_a_geometry_of_its_own(fbr: Fbr) -> None:
    """And the first one is what it would be without it."""
    method = dataclasses.replace(fbr, second_view=dataclasses.replace(fbr.second_view, kind="cropped", edge=16))
    sample = samples(["objects"], count=1)[0]
    first, second = method.view(sample, np.random.default_rng(3))
    (alone,) = fbr.view(sample, np.random.default_rng(3))
    assert np.array_equal(first.image, alone.image) and np.array_equal(first.maps["objects"], alone.maps["objects"])
    assert first.image.shape == (32, 32, 3) and second.image.shape == (16, 16, 3) and second.maps["objects"].shape == (16, 16)
    assert np.array_equal(first.labels, second.labels)
    gathered = method.sampling.gather([[first, second]] * 3)
    assert [one.images_BCYX.shape[2:] for one in gathered.batches] == [(32, 32), (16, 16)]
    assert len(gathered.to(torch.device("cpu")).batches) == 2
    assert list(learner_of(method)(gathered.to(torch.device("cpu")), 0.0)) == list(learner_of(fbr)(views(), 0.0))


def test_two_equal_views_cost_what_one_does(fbr: Fbr) -> None:
    off = without(fbr, "background", "foreground")
    view = batch(["objects"])
    one = learner_of(without(off, "second_view")).eval()(Views([view]), 0.0)
    two = learner_of(dataclasses.replace(off, second_view=dataclasses.replace(off.second_view, kind="cropped"))).eval()(
        Views([view, view]), 0.0
    )
    assert {name: value.item() for name, value in two.items()} == pytest.approx({name: value.item() for name, value in one.items()})


# --- Images that say little ---


@pytest.mark.parametrize("labels", [[[1.0, 0, 0, 0]] * 2, [[1.0, 1, 1, 1]] * 2, [[1.0, 0, 1, 0]] * 2])
def test_batches_without_classes_of_all_or_of_one(fbr: Fbr, labels: list[list[float]]) -> None:
    learner, view = learner_of(fbr), batch(["objects"])
    terms = learner(Views([Batch(view.images_BCYX, torch.tensor(labels), view.maps_BYX)]), 0.5)
    assert all(torch.isfinite(one) for one in terms.values())
    assert (terms["foreground"].item() > 0) == (sum(labels[0]) > 2)
    assert (terms["background"].item() > 0) == (sum(labels[0]) > 1)


def test_one_image_in_a_batch_is_enough(fbr: Fbr) -> None:
    assert all(torch.isfinite(one) for one in learner_of(fbr)(views(count=1), 0.5).values())


def test_memory_counts_the_bank_and_what_places_are_compared_with(fbr: Fbr) -> None:
    extents = {"class": NUM_CLASSES + 1}
    large = dataclasses.replace(fbr, contrast=dataclasses.replace(fbr.contrast, capacity=100_000))
    assert large.memory(extents) - fbr.memory(extents) == 2 * (100_000 - 9) * 7 * 4
    more = dataclasses.replace(fbr, contrast=dataclasses.replace(fbr.contrast, negatives=25))
    assert more.memory(extents) - fbr.memory(extents) == 2 * 2 * 4 * 4 * 20 * 7 * 4  # two views of two images, places of each
    assert without(large, "background").memory(extents) == without(fbr, "background").memory(extents)
