"""What every classifier promises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seedbed import methods
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.networks.weights import restore
from tests.support.learning import NUM_CLASSES, batch, gradients, published, samples, trained

NAMES = methods.list_available("classifier")


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
    learner = method.learner(NUM_CLASSES, given={}).train()
    terms = learner(batch(method.maps), 0.0)
    assert terms and all(term.ndim == 0 and term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    found = list(gradients(learner.network))
    assert found and all(one.isfinite().all() for one in found)
    assert any(one.abs().max() > 0 for one in found)
    driven = {id(one) for scheduled in learner.optimizers() for group in scheduled.optimizer.param_groups for one in group["params"]}
    assert all(id(one) in driven for one in learner.network.parameters() if one.requires_grad)


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_network_comes_back_from_its_artifact_exactly(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("classifier", name)
    examples = samples(method.maps)
    left = trained(method, partial(method.learner, NUM_CLASSES, given={}), examples, tmp_path)
    artifact = published("classifier", left.network, tmp_path)
    again = restore(method.network(NUM_CLASSES), artifact, device="cpu")
    images = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        for one, other in zip(left.network(images), again(images), strict=True):
            assert torch.equal(one, other)
