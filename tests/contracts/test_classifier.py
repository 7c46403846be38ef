"""What every classifier promises."""

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

from seedbed import methods
from seedbed.classifier import NetworkMethod
from seedbed.learning.loop import learn
from seedbed.networks.contracts import ClassifierNetwork, Inherited
from seedbed.networks.start import Given
from seedbed.networks.weights import restore
from seedbed.types import LinearHead
from tests.support.learning import CPU, NUM_CLASSES, described, gradients, published, samples, trained

AVAILABLE = methods.list_available("classifier")
NAMES = [name for name in AVAILABLE if issubclass(methods.load("classifier", name), NetworkMethod)]
SOLVED = [name for name in AVAILABLE if name not in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_the_network_gives_maps_and_logits(name: str, small_method: Callable[[str, str], Any]) -> None:
    network = small_method("classifier", name).network(NUM_CLASSES).eval()
    assert isinstance(network, ClassifierNetwork)
    with torch.inference_mode():
        maps, logits = network(torch.rand(2, 3, 40, 56))
    assert maps.shape[:2] == logits.shape == (2, NUM_CLASSES)
    assert 1 < maps.shape[2] < maps.shape[3]
    assert maps.isfinite().all() and logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_learner_learns_all_that_is_kept(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("classifier", name)
    learner = method.learner(NUM_CLASSES, given=Inherited()).train()
    viewed = [method.sampling.view(one, np.random.default_rng(0)) for one in samples(method.maps)]
    terms = learner(method.sampling.gather(viewed).to(torch.device("cpu")), 0.0)
    assert terms and all(term.ndim == 0 and term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    found = list(gradients(learner.network))
    assert found and all(one.isfinite().all() for one in found)
    assert any(one.abs().max() > 0 for one in found)
    driven = {id(one) for scheduled in learner.optimizers() for group in scheduled.optimizer.param_groups for one in group["params"]}
    assert all(id(one) in driven for one in learner.network.parameters() if one.requires_grad)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_was_interrupted_comes_to_the_same_weights(
    name: str, small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("classifier", name)
    # Six steps of five images: each but the first and the last begins in the middle of a pass.
    method = dataclasses.replace(method, training=dataclasses.replace(method.training, epochs=2.4, averaging=0.5))
    seen, steps = samples(method.maps, count=5), 0

    def interrupted() -> Any:
        learner = method.learner(NUM_CLASSES, given={})
        learner.register_forward_pre_hook(interrupt)
        return learner

    def interrupt(_module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal steps
        steps += 1
        if inputs[1] >= 0.5:
            raise KeyboardInterrupt

    whole = trained(method, partial(method.learner, NUM_CLASSES, given={}), seen, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(method, interrupted, seen, tmp_path / "interrupted", seconds=0)
    assert steps == 4
    resumed = trained(method, partial(method.learner, NUM_CLASSES, given={}), seen, tmp_path / "interrupted")
    assert resumed.log == whole.log
    states = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, states[1][entry]) for entry, value in states[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_images_without_their_mean_are_what_its_backbone_sees(name: str, small_method: Callable[[str, str], Any]) -> None:
    network = small_method("classifier", name).network(NUM_CLASSES).eval()
    seen: list[torch.Tensor] = []
    next(one for one in network.backbone.trunk.modules() if isinstance(one, torch.nn.Conv2d)).register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    network(network.backbone.mean.expand(1, 3, 40, 56))
    assert seen[0].shape == (1, 3, 40, 56) and not seen[0].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_network_comes_back_from_its_artifact_exactly(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("classifier", name)
    examples = samples(method.maps)
    left = trained(method, partial(method.learner, NUM_CLASSES, given=Inherited()), examples, tmp_path)
    artifact = published("classifier", left.network, tmp_path)
    again = restore(method.network(NUM_CLASSES), artifact, device="cpu")
    images = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        for one, other in zip(left.network(images), again(images), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", SOLVED)
def test_a_solution_is_a_linear_layer_that_tells_the_classes(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method, examples = small_method("classifier", name), described(count=40)
    columns = learn(method, "classifier", NUM_CLASSES, examples, Given(), machine=CPU, checkpoint=tmp_path / "none", seconds=math.inf)
    assert columns["figures"][0] == "loss" and np.isfinite(columns["log"]).all() and columns["log"].shape[1] == len(columns["figures"])
    head = LinearHead(**dict(columns["weights"]))
    assert head.weight.shape == (NUM_CLASSES, 4) and head.weight.dtype == head.offset.dtype == np.float32
    scores = np.stack([head.score(one.patches.values).mean(axis=(0, 1)) for one in examples])
    labels = np.stack([one.labels[1:] for one in examples])
    assert (scores[labels].mean() - scores[~labels].mean()) > 0.5
