"""The plain classifier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed.classifier.cam import Cam
from seedbed.learning.augmentation import Sample
from seedbed.learning.batches import Batch
from seedbed.learning.optimisers import Descent
from seedbed.networks.cam_network import CamNetwork
from seedbed.networks.contracts import Inherited
from seedbed.run.machine import Machine
from tests.support.learning import NUM_CLASSES, batch, samples, trained


@pytest.fixture
def cam(small_method: Callable[[str, str], Any]) -> Cam:
    made = small_method("classifier", "cam")
    assert isinstance(made, Cam)
    return made


def test_logits_are_the_means_of_the_maps(cam: Cam) -> None:
    maps, logits = cam.network(NUM_CLASSES).eval()(torch.rand(2, 3, 40, 56))
    assert torch.equal(logits, maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_cell_covers_as_many_pixels_as_the_stride_says(cam: Cam, stride: int) -> None:
    network = dataclasses.replace(cam, backbone=dataclasses.replace(cam.backbone, output_stride=stride)).network(NUM_CLASSES).eval()
    maps, _ = network(torch.rand(1, 3, 64, 96))
    assert maps.shape[2:] == (64 // stride, 96 // stride)


def test_an_undecided_classifier_loses_a_bit_per_class(cam: Cam) -> None:
    learner = cam.learner(NUM_CLASSES, given=Inherited())
    assert isinstance(learner.network, CamNetwork)
    torch.nn.init.zeros_(learner.network.head.weight)
    terms = learner(batch([]), 0.0)
    assert list(terms) == ["classes"]
    assert terms["classes"].item() == pytest.approx(torch.log(torch.tensor(2.0)).item())


def test_what_is_learned_from_two_images_is_learned(cam: Cam, tmp_path: Path) -> None:
    training = dataclasses.replace(cam.training, epochs=12.0, batch_size=2)
    descent = dataclasses.replace(cam.descent, learning_rate=0.05, new_layer_factor=10.0)
    still = dataclasses.replace(cam.augmentation.colours, brightness=0.0, contrast=0.0)
    augmentation = dataclasses.replace(cam.augmentation, smallest_scale=1.0, largest_scale=1.0, flip=0.0, colours=still)
    method = dataclasses.replace(cam, training=training, descent=descent, augmentation=augmentation)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), samples([], count=2), tmp_path)
    assert len(left.losses) == 12
    assert sum(left.losses[-3:]) < 0.8 * sum(left.losses[:3])


def test_a_transformer_can_be_the_backbone(cam: Cam) -> None:
    method = dataclasses.replace(cam, backbone=dataclasses.replace(cam.backbone, network="test_vit", output_stride=16))
    learner = method.learner(NUM_CLASSES, given=Inherited())
    maps, logits = learner.network(torch.rand(2, 3, 40, 56))
    assert maps.shape == (2, NUM_CLASSES, 3, 4) and torch.allclose(logits, maps.mean(dim=(2, 3)))
    learner(batch([]), 0.0)["classes"].backward()
    assert all(one.grad is not None for one in learner.network.parameters())


@pytest.mark.parametrize("network", ["test_convnext", "test_efficientnet", "test_byobnet", "test_nfnet"])
def test_any_convolutional_network_that_takes_an_output_stride_can_be_the_backbone(cam: Cam, network: str) -> None:
    method = dataclasses.replace(cam, backbone=dataclasses.replace(cam.backbone, network=network))
    learner = method.learner(NUM_CLASSES, given=Inherited())
    learner(batch([]), 0.0)["classes"].backward()
    assert learner.network(torch.rand(2, 3, 40, 56))[0].shape[:2] == (2, NUM_CLASSES)


@pytest.mark.slow
def test_two_processes_train_a_network_that_keeps_weights_without_a_gradient(cam: Cam, tmp_path: Path) -> None:
    """timm's ConvNeXt keeps the norm of the head that is left out. It has no statistics of a batch, so one process does the same."""
    training = dataclasses.replace(cam.training, epochs=2.0, batch_size=4, micro_batches=2)
    method = dataclasses.replace(cam, backbone=dataclasses.replace(cam.backbone, network="test_convnext"), training=training)
    build, examples = partial(method.learner, NUM_CLASSES, given=Inherited()), samples([], count=4)
    alone = trained(method, build, examples, tmp_path / "alone")
    shared = trained(method, build, examples, tmp_path / "shared", machine=Machine("cpu", devices=2))
    assert shared.losses == pytest.approx(alone.losses, abs=1e-5)
    left = alone.network.state_dict(), shared.network.state_dict()
    assert all(torch.allclose(value, left[1][name], atol=1e-5) for name, value in left[0].items())
    assert (left[1]["backbone.trunk.head.norm.weight"] == 1).all()


# --- As a whole ---


def test_the_whole_written_down_plainly(cam: Cam) -> None:
    """From bytes to the loss; classes are 1..K among labels and 0..K-1 among logits."""
    learner: Any = cam.learner(NUM_CLASSES, given=Inherited()).eval()
    torch.nn.init.normal_(learner.network.head.weight, std=0.5)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    labels = np.array([[True, True, False, False], [True, False, True, True]])
    views = [Sample(image=one, labels=which, maps={}, padding={}) for one, which in zip(pixels, labels, strict=True)]
    batch = Batch.of(views).to(torch.device("cpu"))
    trunk = learner.network.backbone.trunk
    mean, deviation = (np.array(trunk.pretrained_cfg[name]) for name in ("mean", "std"))
    standard = torch.from_numpy((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        features = trunk.forward_features(standard).double().numpy()
        maps, logits = learner.network(batch.images_BCYX)
        loss = learner(batch, 0.0)["classes"].item()
    weights = learner.network.head.weight.detach().double().numpy()[:, :, 0, 0]
    expected = np.einsum("kd,bdyx->bkyx", weights, features)
    assert np.allclose(maps, expected, atol=1e-4) and np.allclose(logits, expected.mean(axis=(2, 3)), atol=1e-4)
    total = 0.0
    for image in range(2):
        for label in (1, 2, 3):
            probability = 1 / (1 + math.exp(-expected[image, label - 1].mean()))
            total -= math.log(probability if labels[image, label] else 1 - probability)
    assert loss == pytest.approx(total / 6, rel=1e-4)


def test_a_new_head_says_little(cam: Cam) -> None:
    torch.manual_seed(0)
    learner: Any = cam.learner(500, given=Inherited())
    assert learner.network.head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert learner.network.head.bias is None


def test_what_learns_how_fast(cam: Cam) -> None:
    descent = Descent(
        learning_rate=0.03, new_layer_factor=7, momentum=0.6, weight_decay=0.02, warmup=0.3, power=1.4, decay_starts="at_once"
    )
    learner: Any = dataclasses.replace(cam, descent=descent).learner(NUM_CLASSES, given=Inherited())
    [scheduled] = learner.optimizers()
    old, new = scheduled.optimizer.param_groups
    assert [id(one) for one in old["params"]] == [id(one) for one in learner.network.backbone.parameters()]
    assert [id(one) for one in new["params"]] == [id(learner.network.head.weight)]
    assert (old["lr"], new["lr"]) == (0.03, pytest.approx(0.21))
    assert {(one["momentum"], one["weight_decay"], one["nesterov"]) for one in (old, new)} == {(0.6, 0.02, False)}
    assert scheduled.rate(0.15) == pytest.approx(0.5 * 0.85**1.4) and scheduled.decay(0.7) == 1
