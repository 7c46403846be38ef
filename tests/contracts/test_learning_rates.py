"""What every training with a `descent` or an `optimiser` promises: what is not frozen learns, once, and as fast as that says."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from seedbed import methods
from seedbed.learning.optimisers import HeadDescent
from seedbed.networks.backbones import Backbone
from seedbed.networks.contracts import Inherited
from tests.support.learning import CHANNELS, NUM_CLASSES, small_classifier

RATE, FACTOR = 0.03, 7
DESCENDING = [
    (family, name, block)
    for family in methods.list_families()
    for name in methods.list_available(family)
    for block in ("descent", "optimiser")
    if block in methods.read_declaration(family, name).names()
]


def make_method(small_method: Callable[[str, str], Any], family: str, name: str, block: str) -> Any:
    """A method whose rates are told apart."""
    method = small_method(family, name)
    factor = {} if isinstance(getattr(method, block), HeadDescent) else {"new_layer_factor": FACTOR}
    changed: dict[str, Any] = {block: dataclasses.replace(getattr(method, block), learning_rate=RATE, **factor)}
    if hasattr(method, "displacement_factor"):
        changed["displacement_factor"] = 1  # of irn, which multiplies the rate of one part once more
    if hasattr(method, "reconstruction"):  # of ssc, whose painter has an optimiser of its own
        descent = dataclasses.replace(method.reconstruction.descent, learning_rate=RATE * FACTOR)
        changed["reconstruction"] = dataclasses.replace(method.reconstruction, descent=descent)
    return dataclasses.replace(method, **changed)


def test_every_family_that_descends_is_tried() -> None:
    assert {family for family, _, _ in DESCENDING} >= {"affinity", "classifier", "segmenter"}


@pytest.mark.parametrize(("family", "name", "block"), DESCENDING)
def test_what_learns_does_so_once_and_new_layers_by_their_factor(
    family: str, name: str, block: str, small_method: Callable[[str, str], Any]
) -> None:
    method = make_method(small_method, family, name, block)
    learner = method.learner(NUM_CLASSES, given=Inherited(CHANNELS.states, small_classifier()))
    backbone = list(learner.network.backbone.parameters()) if hasattr(method, "backbone") else []
    for frozen in backbone[:1]:
        frozen.requires_grad_(False)
    trunks = [module for module in learner.modules() if isinstance(module, Backbone)] if backbone else []
    old = {id(one) for trunk in trunks for one in trunk.parameters()}
    new = RATE if isinstance(getattr(method, block), HeadDescent) else RATE * FACTOR
    rates = {id(one): RATE if id(one) in old else new for one in learner.parameters() if one.requires_grad}
    groups = [group for scheduled in learner.optimizers() for group in scheduled.optimizer.param_groups]
    stepped = Counter(id(one) for group in groups for one in group["params"])
    assert set(stepped) == set(rates) and set(stepped.values()) == {1}
    assert all(rates[id(one)] == pytest.approx(group["lr"]) for group in groups for one in group["params"])
