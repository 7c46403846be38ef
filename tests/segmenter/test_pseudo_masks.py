"""The segmenter that believes its labels."""

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

from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.optimisers import Descent
from seedbed.networks.contracts import Inherited
from seedbed.networks.deeplab import DeepLab
from seedbed.segmenter.pseudo_masks import PseudoMasks
from tests.support.learning import NUM_CLASSES, at_size, batch, gradients, trained
from tests.support.oracles import deeplab, made_sure


@pytest.fixture
def pseudo_masks(small_method: Callable[[str, str], Any]) -> PseudoMasks:
    made = small_method("segmenter", "pseudo_masks")
    assert isinstance(made, PseudoMasks)
    return made


def test_without_any_label_there_is_no_loss(pseudo_masks: PseudoMasks) -> None:
    learner = pseudo_masks.learner(NUM_CLASSES, given=Inherited())
    loss = learner(batch(["labels"], fill={"labels": 255}), 0.0)["labels"]
    loss.backward()
    assert loss.item() == 0
    assert all(not one.any() for one in gradients(learner))


def test_an_undecided_segmenter_loses_the_same_whatever_share_is_labelled(pseudo_masks: PseudoMasks) -> None:
    learner = pseudo_masks.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(learner.network, DeepLab)
    for branch in learner.network.branches:
        assert isinstance(branch, torch.nn.Conv2d)
        torch.nn.init.zeros_(branch.weight)
    full = batch(["labels"])
    sparse = batch(["labels"])
    sparse.maps_BYX["labels"][:, 1:] = 255
    for one in (full, sparse):
        assert learner(one, 0.0)["labels"].item() == pytest.approx(np.log(1 + NUM_CLASSES), rel=1e-5)


def test_unlabelled_pixels_do_not_matter(pseudo_masks: PseudoMasks) -> None:
    learner = pseudo_masks.learner(NUM_CLASSES, given=Inherited()).eval()
    one = batch(["labels"])
    one.maps_BYX["labels"][:, :, 28:] = 255
    logits = torch.nn.functional.interpolate(learner.network(one.images_BCYX), size=(40, 56), mode="bilinear", align_corners=False)
    expected = torch.nn.functional.cross_entropy(logits[..., :28], one.maps_BYX["labels"][..., :28])
    assert learner(one, 0.0)["labels"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_what_is_not_sure_enough_is_not_learned(pseudo_masks: PseudoMasks) -> None:
    half = batch(["labels", "confidence"])
    half.maps_BYX["confidence"][:, :, :28], half.maps_BYX["confidence"][:, :, 28:] = 204, 203  # 204 is 0.8
    known = dataclasses.replace(half, maps_BYX={"labels": half.maps_BYX["labels"].clone()})
    known.maps_BYX["labels"][:, :, 28:] = 255
    losses = {}
    for least, one in ((0.8, half), (0.0, known), (0.81, half)):
        torch.manual_seed(0)
        learner = dataclasses.replace(pseudo_masks, least_confidence=least).learner(NUM_CLASSES, given=Inherited())
        losses[least] = learner(one, 0.0)["labels"]
        losses[least].backward()
        assert any(gradient.any() for gradient in gradients(learner)) == (least != 0.81)
    assert losses[0.8].item() == losses[0.0].item() and losses[0.81].item() == 0


def test_confidence_is_read_where_it_matters_alone(pseudo_masks: PseudoMasks) -> None:
    assert pseudo_masks.wanted_maps == ("labels",)
    assert dataclasses.replace(pseudo_masks, least_confidence=0.5).wanted_maps == ("labels", "confidence")
    learner = pseudo_masks.learner(NUM_CLASSES, given=Inherited())
    one = batch(["labels", "confidence"], fill={"confidence": 0})
    without = dataclasses.replace(one, maps_BYX={"labels": one.maps_BYX["labels"]})
    assert learner(one, 0.0)["labels"].item() == learner(without, 0.0)["labels"].item() > 0


def test_a_batch_with_one_labelled_pixel_has_the_loss_of_that_pixel(pseudo_masks: PseudoMasks) -> None:
    learner, one = dataclasses.replace(pseudo_masks, scales=(1.0,)).learner(NUM_CLASSES, given=Inherited()).eval(), batch(["labels"])
    one.maps_BYX["labels"][:] = 255
    assert learner(one, 0.0)["labels"].item() == 0
    one.maps_BYX["labels"][1, 3, 5] = 2
    pixel = learner.network(one.images_BCYX)
    logits = torch.nn.functional.interpolate(pixel, size=one.images_BCYX.shape[-2:], mode="bilinear", align_corners=False)[1, :, 3, 5]
    assert learner(one, 0.0)["labels"].item() == pytest.approx(-logits.log_softmax(dim=0)[2].item(), rel=1e-5)


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
def test_every_size_of_the_input_is_learned_from(pseudo_masks: PseudoMasks, over_scales: Literal["mean", "sum"]) -> None:
    method = dataclasses.replace(pseudo_masks, scales=(1.0, 0.75, 2.0), over_scales=over_scales)
    learner, one = method.learner(NUM_CLASSES, given=Inherited()).eval(), batch(["labels"])
    one.maps_BYX["labels"][:, :, 28:] = 255
    losses = [
        torch.nn.functional.cross_entropy(at_size(learner.network, one.images_BCYX, size), one.maps_BYX["labels"], ignore_index=255).item()
        for size in ((40, 56), (30, 42), (80, 112))
    ]
    assert len(set(losses)) == 3
    expected = sum(losses) if over_scales == "sum" else sum(losses) / 3
    assert learner(one, 0.0)["labels"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rates", [(1,), (6, 12, 18, 24)])
def test_branches_are_summed(pseudo_masks: PseudoMasks, rates: tuple[int, ...]) -> None:
    network = dataclasses.replace(pseudo_masks, rates=rates).network(NUM_CLASSES).eval()
    assert [branch.dilation for branch in network.branches] == [(rate, rate) for rate in rates]
    images = torch.rand(1, 3, 40, 56)
    features = network.backbone(images)
    expected = sum(branch(features) for branch in network.branches)
    assert torch.allclose(network(images), expected)


def test_two_images_are_learned(pseudo_masks: PseudoMasks, tmp_path: Path) -> None:
    pictures = []
    for number, size in enumerate([(40, 56), (48, 36)]):
        mask = np.full(size, number, np.uint8)
        mask[:, : size[1] // 2] = 2
        image = np.repeat((mask * 100)[..., None], 3, axis=-1)
        pictures.append(Sample(image=image, labels=np.array([True, True, True, False]), maps={"labels": mask}, padding={"labels": 255}))
    training = dataclasses.replace(pseudo_masks.training, epochs=15.0, batch_size=2)
    descent = dataclasses.replace(pseudo_masks.descent, learning_rate=0.01, new_layer_factor=1.0)
    method = dataclasses.replace(pseudo_masks, training=training, descent=descent)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), pictures, tmp_path)
    assert sum(left.losses[-3:]) < 0.8 * sum(left.losses[:3])


# --- As a whole ---


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
@pytest.mark.parametrize("least", [0.0, 0.6])
def test_the_whole_written_down_pixel_by_pixel(pseudo_masks: PseudoMasks, least: float, over_scales: Literal["mean", "sum"]) -> None:
    """From bytes to the loss."""
    method = dataclasses.replace(pseudo_masks, rates=(2, 3), scales=(0.5, 1.25), over_scales=over_scales, least_confidence=least)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    labels = random.choice([0, 1, 2, 3, 255], (2, 40, 56)).astype(np.uint8)
    confidence = random.choice([100, 152, 153, 250], (2, 40, 56)).astype(np.uint8)  # 153 is 0.6 of 255
    learner = method.learner(NUM_CLASSES, given=Inherited()).eval()
    assert isinstance(learner.network, DeepLab)
    made_sure(learner.network, pixels)
    maps = [{"labels": one, "confidence": sure} for one, sure in zip(labels, confidence, strict=True)]
    views = [Sample(image=one, labels=np.ones(4, bool), maps=which, padding={}) for one, which in zip(pixels, maps, strict=True)]
    losses = []
    for size in ((20, 28), (50, 70)):
        probabilities = deeplab(learner.network, pixels, size=size, rates=(2, 3))
        learned = [
            -math.log(probabilities[image, labels[image, y, x], y, x])
            for image, y, x in np.ndindex(2, 40, 56)
            if labels[image, y, x] != 255 and confidence[image, y, x] >= 255 * least
        ]
        losses.append(sum(learned) / len(learned))
    expected = sum(losses) / (2 if over_scales == "mean" else 1)
    assert learner(Batch.of(views).to(torch.device("cpu")), 0.0)["labels"].item() == pytest.approx(expected, rel=1e-4)


def test_what_learns_how_fast(pseudo_masks: PseudoMasks) -> None:
    descent = Descent(
        learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"
    )
    learner = dataclasses.replace(pseudo_masks, descent=descent).learner(NUM_CLASSES, given=Inherited())
    assert isinstance(learner.network, DeepLab)
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(one) for one in learner.network.branches.parameters()]
    assert (old["lr"], new["lr"], old["momentum"], old["weight_decay"]) == (0.03, pytest.approx(0.21), 0.6, 0.02)
