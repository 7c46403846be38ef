"""A light segmenter: the whole equals its sentences, patch by patch and superpixel by superpixel."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from seedbed.learning.batches import PatchBatch, PatchView
from seedbed.learning.optimisers import HeadDescent
from seedbed.learning.samples import Described
from seedbed.learning.training import Training
from seedbed.networks.patch_head import Head, PatchHead
from seedbed.segmenter.light import Light
from seedbed.types import Alignment, PatchFeatures
from tests.support.learning import CHANNELS, NUM_CHANNELS, NUM_CLASSES, described, patch_batch, trained

CLASSES = 1 + NUM_CLASSES
METHOD = Light(
    head=Head(widths=(5,), kernel=3, coordinates=True),
    stride=3,
    least_confidence=0.4,
    foreground=0.4,
    background=0.45,
    present_only=True,
    balanced=True,
    training=Training(seed=0, epochs=2, batch_size=2, micro_batches=1, precision="32-true", clip=0, clip_each=False, averaging=0),
    descent=HeadDescent(learning_rate=0.03, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"),
)


def learner(method: Light) -> Any:
    """The same weights each time."""
    torch.manual_seed(0)
    made: Any = method.learner(NUM_CLASSES, given=CHANNELS)
    with torch.no_grad():
        for one in made.network.parameters():
            one.mul_(2)  # so that it is surer of itself
    return made


def convolved(maps: npt.NDArray[np.float64], layer: Any) -> npt.NDArray[np.float64]:
    """A convolution of 3 x 3 cells over maps (channel, y, x), with zeros around them."""
    weight, bias = layer.weight.detach().numpy().astype(np.float64), layer.bias.detach().numpy()
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    made = np.empty((len(weight), *maps.shape[1:]))
    for y, x in np.ndindex(*maps.shape[1:]):
        made[:, y, x] = (weight * padded[:, y : y + 3, x : x + 3]).sum(axis=(1, 2, 3)) + bias
    return made


def probabilities(network: PatchHead, sample: Described, stride: int) -> npt.NDArray[np.float64]:
    """Of every cell (class, y, x), written down plainly."""
    values = np.moveaxis(sample.patches.values, -1, 0).astype(np.float64)
    rows, columns = values.shape[1:]
    mean, deviation = (CHANNELS.states["features"][name].numpy()[:, None, None] for name in ("mean", "deviation"))
    y = np.array([[2 * (row + 0.5) / rows - 1] * columns for row in range(rows)])
    x = np.array([[2 * (column + 0.5) / columns - 1 for column in range(columns)]] * rows)
    seen = np.concatenate([(values - mean) / deviation, y[None], x[None]])
    logits = convolved(np.maximum(convolved(seen, network.layers[0]), 0), network.layers[2])
    height, width = sample.maps["labels"].shape
    made = np.empty((CLASSES, -(-height // stride), -(-width // stride)))
    for row, column in np.ndindex(*made.shape[1:]):
        place = []
        for cell, count, length, patches in ((row, made.shape[1], height, rows), (column, made.shape[2], width, columns)):
            covered = length / sample.patches.patch_size if sample.patches.alignment is Alignment.PADDED else patches
            place.append(min(max((cell + 0.5) / count * covered - 0.5, 0), patches - 1))
        top, left = (min(int(one), patches - 2) for one, patches in zip(place, (rows, columns), strict=True))
        down, right = place[0] - top, place[1] - left
        upper = logits[:, top, left] * (1 - right) + logits[:, top, left + 1] * right
        lower = logits[:, top + 1, left] * (1 - right) + logits[:, top + 1, left + 1] * right
        made[:, row, column] = np.exp(upper * (1 - down) + lower * down)
    return np.asarray(made / made.sum(axis=0))


def sampled(pixels: npt.NDArray[Any], stride: int) -> npt.NDArray[np.int64]:
    """The pixel at the centre of every cell."""
    height, width = pixels.shape
    rows, columns = -(-height // stride), -(-width // stride)
    made = np.empty((rows, columns), np.int64)
    for row, column in np.ndindex(rows, columns):
        made[row, column] = pixels[int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)]
    return made


def examples() -> list[Described]:
    """Two images with few seeds of unlike confidence, and superpixels larger than patches; whole cells, so that each has one centre."""
    random, made = np.random.default_rng(5), list[Described]()
    for one, size in zip(described(count=2), ((39, 57), (39, 57)), strict=True):
        labels = np.where(random.random(size) < 0.2, random.integers(0, CLASSES, size), 255).astype(np.uint8)
        regions = np.add.outer(6 * (np.arange(size[0]) // 8), np.arange(size[1]) // 10).astype(np.int32)
        confidence = random.integers(0, 256, size).astype(np.uint8)
        patches = PatchFeatures(one.patches.values[:, :8], one.patches.patch_size, one.patches.alignment)
        contained = np.array([[True, True, False, False], [True, False, True, True]])[len(made)]
        made.append(Described(patches, contained, {"labels": labels, "regions": regions, "confidence": confidence}))
    return made


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("present_only", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_the_whole_written_down_patch_by_patch(grows: bool, present_only: bool, balanced: bool) -> None:
    method = dataclasses.replace(METHOD, present_only=present_only, balanced=balanced)
    if not grows:
        method = dataclasses.replace(method, foreground=1.0, background=1.0)
    made, seen = learner(method), examples()
    losses, counts, seeded, labelled, grown = [], [], [], [], []
    for sample in seen:
        answers = probabilities(made.network, sample, 3)
        sure = sampled(sample.maps["confidence"], 3) >= 0.4 * 255
        labels = np.where(sure, sampled(sample.maps["labels"], 3), 255)
        seeds, regions = labels.copy(), sampled(sample.maps["regions"], 3)
        for region in np.unique(regions) if grows else ():
            free = (regions == region) & (seeds == 255)
            if free.any():
                means = [answers[label][free].mean() if sample.labels[label] or not present_only else -1 for label in range(CLASSES)]
                best = means.index(max(means))
                if means[best] > (0.45 if best == 0 else 0.4):
                    labels[free] = best
        of_cells = [-math.log(answers[labels[y, x], y, x]) for y, x in np.argwhere(labels != 255)]
        background = [-math.log(answers[0, y, x]) for y, x in np.argwhere(labels == 0)]
        others = [-math.log(answers[labels[y, x], y, x]) for y, x in np.argwhere((labels != 0) & (labels != 255))]
        losses.append(np.mean(background) + np.mean(others) if balanced else sum(of_cells))
        counts.append(len(of_cells))
        seeded.append((seeds != 255).mean())
        labelled.append((labels != 255).mean())
        grown.append(set(labels[seeds == 255]))
    assert not grows or (255 in grown[0] | grown[1] and {*grown[0], *grown[1]} - {0, 255}), "some grow, some do not"
    batch = PatchBatch([PatchView.of(one, 3) for one in seen]).to(torch.device("cpu"))
    found = made(batch, 0.0)
    assert list(found) == ["labels"]
    assert found["labels"].item() == pytest.approx(sum(losses) / (2 if balanced else sum(counts)), rel=1e-4)
    figures = made.measure_batch()
    assert figures["seeded"].item() == pytest.approx(np.mean(seeded)) and figures["labelled"].item() == pytest.approx(np.mean(labelled))


def test_what_is_read_follows_from_what_is_wanted() -> None:
    assert METHOD.wanted_maps == ("labels", "regions", "confidence") and METHOD.grows
    alone = dataclasses.replace(METHOD, least_confidence=0.0, foreground=1.0, background=1.0)
    assert alone.wanted_maps == ("labels",) and not alone.grows
    assert dataclasses.replace(alone, foreground=0.5).grows and dataclasses.replace(alone, background=0.5).grows
    assert METHOD.unread == ("start", "classifier")


def test_what_learns_how_fast() -> None:
    made = learner(METHOD)
    [scheduled] = made.optimizers()
    [group] = scheduled.optimizer.param_groups
    assert [id(one) for one in group["params"]] == [id(one) for one in made.network.parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.03, 0.6, 0.02)
    assert scheduled.rate(0.15) == pytest.approx(0.5 * 0.85**1.4) and scheduled.rate(0.6) == pytest.approx(0.4**1.4)
    later = dataclasses.replace(METHOD.descent, decay_starts="after_warmup")
    assert later.factor(0.15) == 0.5 and later.factor(0.65) == pytest.approx(0.5**1.4) and later.factor(0) == 1e-3


def test_the_network_is_standardised_by_what_the_training_is_given() -> None:
    network, channels = METHOD.learner(NUM_CLASSES, given=CHANNELS).network, CHANNELS.states["features"]
    assert torch.equal(network.mean, channels["mean"]) and torch.equal(network.deviation, channels["deviation"])


def test_an_image_counts_the_same_whatever_stands_beside_it() -> None:
    method = dataclasses.replace(METHOD, least_confidence=0.0)
    made, both = learner(method), patch_batch(method.wanted_maps, count=2)
    alone = [made(PatchBatch([view]), 0.0)["labels"].item() for view in both.views]
    assert made(both, 0.0)["labels"].item() == pytest.approx(sum(alone) / 2, rel=1e-6)


def test_labels_reach_whole_superpixels_while_it_learns(tmp_path: Path) -> None:
    """Two kinds of patches, each a superpixel in two pieces, of which seeds touch a corner of one piece."""
    pictures = []
    for width in (8, 12):
        kinds = np.zeros((5, width), np.int64)
        kinds[:, width // 4 : width // 2] = 1
        kinds[:, 3 * width // 4 :] = 1
        regions = kinds.repeat(8, axis=0).repeat(8, axis=1).astype(np.int32)
        labels = np.where(np.arange(40)[:, None] < 8, 2 * regions, 255)
        labels[:, 4 * width :] = 255
        values = np.random.default_rng(width).standard_normal((5, width, NUM_CHANNELS)).astype(np.float32)
        values[..., 0] += 4 * kinds
        maps: dict[str, Any] = {"labels": labels.astype(np.uint8), "regions": regions}
        pictures.append(Described(PatchFeatures(values, 8, Alignment.RESIZED), np.array([True, False, True, False]), maps))
    method = dataclasses.replace(
        METHOD,
        least_confidence=0.0,
        foreground=0.7,
        background=0.7,
        training=dataclasses.replace(METHOD.training, epochs=30),
        descent=dataclasses.replace(METHOD.descent, learning_rate=0.1, weight_decay=0.0),
    )
    left = trained(method, partial(method.learner, NUM_CLASSES, given=CHANNELS), pictures, tmp_path)
    seeded, labelled = left.log["seeded"], left.log["labelled"]
    assert max(seeded) < 0.2 and labelled[0] < 0.3 and np.mean(labelled[-10:]) > 0.9, (labelled, seeded)


def test_what_it_holds_at_once_grows_with_what_it_looks_at() -> None:
    extents = {"patch_y": 10, "patch_x": 20, "channel": 64, "class": 4, "y": 80, "x": 160}
    least = 4 * 2 * (10 * 20 * (3 * 64 + 2 * 5) + 4 * 4 * 27 * 54)
    assert METHOD.memory(extents) == least
    assert dataclasses.replace(METHOD, training=dataclasses.replace(METHOD.training, micro_batches=2)).memory(extents) == least // 2
