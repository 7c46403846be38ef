"""The network of a method of features: built once, with its own weights or those of a pretraining."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seedbed.networks.feature_network import FeatureNetwork
from tests.support.learning import published


def test_a_network_is_built_once_and_gives_way_to_another(small_method: Callable[[str, str], Any]) -> None:
    method = small_method("features", "vit")
    first = FeatureNetwork(method, "cpu", None).load()
    assert not first.training and FeatureNetwork(dataclasses.replace(method), "cpu", None).load() is first
    other = FeatureNetwork(dataclasses.replace(method, what="tokens"), "cpu", None).load()
    assert other is not first
    assert FeatureNetwork(method, "cpu", None).load() is not first, "one is kept at a time"
    assert FeatureNetwork(method, "cpu", None).key("any") == ""


def test_a_method_without_a_network_has_none(small_method: Callable[[str, str], Any]) -> None:
    assert FeatureNetwork(small_method("features", "texture"), "cpu", None).load() is None


def test_weights_of_a_pretraining_are_those_of_the_trunk(small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("features", "vit")
    method = dataclasses.replace(method, initial_weights=dataclasses.replace(method.initial_weights, source="pretraining"))
    trunk = method.network().trunk
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(1)
    artifact = published("pretraining", trunk, tmp_path)
    network = FeatureNetwork(method, "cpu", artifact)
    loaded = network.load().trunk.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in trunk.state_dict().items())
    assert network.key("any") == artifact.weights_digest != ""
