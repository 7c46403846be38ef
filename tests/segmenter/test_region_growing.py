"""A segmenter whose labels grow: the whole equals the paper's sentences, superpixel by superpixel."""

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
from seedbed.segmenter.region_growing import RegionGrowing
from tests.support.learning import NUM_CLASSES, at_size, batch, gradients, trained
from tests.support.oracles import deeplab, made_sure, photograph

CLASSES = 1 + NUM_CLASSES


@pytest.fixture
def growing(small_method: Callable[[str, str], Any]) -> RegionGrowing:
    made = small_method("segmenter", "region_growing")
    assert isinstance(made, RegionGrowing)
    return made


def test_growing_is_forgotten_with_the_step(growing: RegionGrowing) -> None:
    learner = dataclasses.replace(growing, foreground=0.0, background=0.0).learner(NUM_CLASSES, given=Inherited())
    one = batch(["labels", "regions"])
    one.maps_BYX["labels"][:, :, 8:] = 255
    before = one.maps_BYX["labels"].clone()
    learner(one, 0.0)
    assert torch.equal(one.maps_BYX["labels"], before)
    watched = learner.measure_batch()
    assert watched["seeded"].item() == pytest.approx(8 / 56) and watched["labelled"].item() == 1


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
def test_every_size_of_the_input_is_learned_from(growing: RegionGrowing, over_scales: Literal["mean", "sum"]) -> None:
    method = dataclasses.replace(growing, scales=(1.0, 0.75, 0.5), over_scales=over_scales, foreground=1.0, background=1.0)  # nothing grows
    learner, one = method.learner(NUM_CLASSES, given=Inherited()).eval(), batch(["labels", "regions"])
    labels = one.maps_BYX["labels"]
    labels[:, :, 28:] = 255
    losses = []
    for size in ((40, 56), (30, 42), (20, 28)):
        logs = at_size(learner.network, one.images_BCYX, size).log_softmax(dim=1).movedim(1, -1)
        terms = [-logs[image][labels[image] == 0][:, 0].mean() for image in range(2)]
        for image in range(2):
            seeds = (labels[image] != 0) & (labels[image] != 255)
            terms.append(-logs[image][seeds].gather(1, labels[image][seeds][:, None]).mean())
        losses.append(sum(term.item() for term in terms) / 2)
    assert len(set(losses)) == 3
    expected = sum(losses) if over_scales == "sum" else sum(losses) / 3
    assert learner(one, 0.0)["seeds"].item() == pytest.approx(expected, rel=1e-5)


def test_no_gradient_flows_through_what_grows(growing: RegionGrowing) -> None:
    learner = dataclasses.replace(growing, foreground=0.0, background=0.0).learner(NUM_CLASSES, given=Inherited())
    one = batch(["labels", "regions"], fill={"labels": 255})
    learner(one, 0.0)["seeds"].backward()
    assert all(gradient.isfinite().all() for gradient in gradients(learner))


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.75, 0.5)])
def test_labels_reach_whole_superpixels_while_it_learns(growing: RegionGrowing, scales: tuple[float, ...], tmp_path: Path) -> None:
    """Two colours, each a superpixel in two pieces, of which seeds touch a corner of one piece."""
    pictures = []
    for size in ((40, 56), (48, 36)):
        regions = np.zeros(size, np.int32)
        regions[:, size[1] // 4 : size[1] // 2] = 1
        regions[:, 3 * size[1] // 4 :] = 1
        labels = np.full(size, 255, np.uint8)
        labels[:8, : size[1] // 4] = 0
        labels[:8, size[1] // 4 : size[1] // 2] = 2
        image = np.repeat((regions * 200).astype(np.uint8)[..., None], 3, axis=-1)
        maps: dict[str, Any] = {"labels": labels, "regions": regions}
        pictures.append(Sample(image=image, labels=np.array([True, False, True, False]), maps=maps, padding={"labels": 255, "regions": -1}))
    whole = dataclasses.replace(growing.augmentation, crop=64, smallest_scale=1.0, largest_scale=1.0, flip=0.0)
    method = dataclasses.replace(
        growing,
        augmentation=whole,
        scales=scales,
        training=dataclasses.replace(growing.training, epochs=30.0, batch_size=2),
        descent=dataclasses.replace(growing.descent, learning_rate=0.05, new_layer_factor=1.0),
    )
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), pictures, tmp_path)
    seeded, labelled = left.log["seeded"], left.log["labelled"]
    assert np.mean(labelled[-10:]) > 0.8 > 0.5 > np.mean(labelled[:3]) > 0 and max(seeded) < 0.3, (labelled, seeded)


@pytest.mark.parametrize("over_scales", ["mean", "sum"])
@pytest.mark.parametrize("present_only", [False, True])
def test_the_whole_written_down_superpixel_by_superpixel(
    growing: RegionGrowing, present_only: bool, over_scales: Literal["mean", "sum"]
) -> None:
    """From bytes to the loss."""
    method = dataclasses.replace(
        growing, rates=(2, 3), scales=(0.5, 1.25), over_scales=over_scales, present_only=present_only, foreground=0.45, background=0.35
    )
    random = np.random.default_rng(4)
    pixels = photograph((80, 56)).reshape(2, 40, 56, 3)
    seeds = np.where(random.random((2, 40, 56)) < 0.06, random.integers(0, CLASSES, (2, 40, 56)), 255).astype(np.uint8)
    regions = np.stack([np.arange(35).reshape(5, 7), np.arange(35)[::-1].reshape(5, 7)]).repeat(8, 1).repeat(8, 2).astype(np.int32)
    regions[:, :, 50:] = -1  # nothing of the image is there
    seeds[regions < 0] = 255
    contained = np.array([[True, True, False, False], [True, False, True, True]])
    torch.manual_seed(0)
    learner = method.learner(NUM_CLASSES, given=Inherited()).eval()
    assert isinstance(learner.network, DeepLab)
    made_sure(learner.network, pixels)
    answers = [deeplab(learner.network, pixels, size=size, rates=(2, 3)) for size in ((20, 28), (50, 70))]
    mean, labels = (answers[0] + answers[1]) / 2, seeds.copy()
    for image, region in np.ndindex(2, 35):
        free = (regions[image] == region) & (seeds[image] == 255)
        if free.any():
            averages = [mean[image, label][free].mean() if contained[image, label] or not present_only else -1 for label in range(CLASSES)]
            best = averages.index(max(averages))
            if averages[best] > (0.35 if best == 0 else 0.45):
                labels[image][free] = best
    new = labels[(labels != 255) & (seeds == 255)]
    assert (new == 0).any() and (new > 0).any() and ((labels == 255) & (regions >= 0)).any()  # some grow, some do not
    losses = []
    for answer in answers:
        total = 0.0
        for image in range(2):
            of_background = [-math.log(answer[image, 0, y, x]) for y, x in np.argwhere(labels[image] == 0)]
            others = np.argwhere((labels[image] != 0) & (labels[image] != 255))
            of_foreground = [-math.log(answer[image, labels[image, y, x], y, x]) for y, x in others]
            total += sum(of_background) / len(of_background) + sum(of_foreground) / len(of_foreground)
        losses.append(total / 2)
    views = [
        Sample(image=pixels[image], labels=contained[image], maps={"labels": seeds[image], "regions": regions[image]}, padding={})
        for image in range(2)
    ]
    found = learner(Batch.of(views).to(torch.device("cpu")), 0.0)["seeds"].item()
    assert found == pytest.approx(sum(losses) / (2 if over_scales == "mean" else 1), rel=1e-4)
    watched = learner.measure_batch()
    assert watched["seeded"].item() == pytest.approx((seeds != 255)[regions >= 0].mean())
    assert watched["labelled"].item() == pytest.approx((labels != 255)[regions >= 0].mean())


def test_what_learns_how_fast(growing: RegionGrowing) -> None:
    descent = Descent(
        learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"
    )
    learner = dataclasses.replace(growing, descent=descent).learner(NUM_CLASSES, given=Inherited())
    assert isinstance(learner.network, DeepLab)
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(one) for one in learner.network.branches.parameters()]
    assert (old["lr"], new["lr"], old["momentum"], old["weight_decay"]) == (0.03, pytest.approx(0.21), 0.6, 0.02)
