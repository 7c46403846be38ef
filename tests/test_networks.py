"""Backbones: any convolutional network of timm, standardising its images itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from seedbed import networks
from seedbed.errors import ParamsError, WeightsError
from seedbed.networks import Backbone
from seedbed.weights import InitialWeights


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_features_have_the_stride_that_was_asked_for(stride: int) -> None:
    backbone = Backbone("test_resnet", output_stride=stride).eval()
    assert backbone(torch.rand(1, 3, 64, 96)).shape == (1, backbone.num_features, 64 // stride, 96 // stride)


def test_images_are_standardised_inside() -> None:
    backbone = Backbone("test_resnet", output_stride=32).eval()
    images = torch.rand(1, 3, 32, 64)
    by_hand = backbone.trunk((images - backbone.mean) / backbone.deviation)
    assert torch.equal(backbone(images), by_hand)
    assert backbone.mean.shape == backbone.deviation.shape == (1, 3, 1, 1)
    assert not {"mean", "deviation"} & set(backbone.state_dict())  # they belong to the architecture, not to the weights


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(ParamsError) as raised:
        Backbone("resnet51", output_stride=32)
    message = str(raised.value)
    assert "backbone: found 'resnet51'; expected a network of timm " in message
    assert "(nearest: resnet" in message


def test_weights_from_a_file_fill_the_backbone(tmp_path: Path) -> None:
    source, backbone = Backbone("test_resnet", output_stride=8), Backbone("test_resnet", output_stride=32)
    path = tmp_path / "test_resnet.safetensors"
    path.write_bytes(safetensors.torch.save(dict(source.trunk.state_dict())))
    backbone.initialise(InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    assert all(torch.equal(value, backbone.trunk.state_dict()[name]) for name, value in source.trunk.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.torch.save({"stem.weight": torch.ones(2)}))
    backbone = Backbone("test_resnet", output_stride=8)
    with pytest.raises(WeightsError, match="entries that do not fit"):
        backbone.initialise(InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def test_without_a_source_weights_stay_random() -> None:
    backbone = Backbone("test_resnet", output_stride=8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.initialise(InitialWeights(source="none", file="", sha256=""))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("name", ["vgg11", "vit_tiny_patch16_224"])
def test_a_network_that_knows_no_stride_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"backbone: found {name!r}"):
        Backbone(name, output_stride=8)


def test_weights_of_the_hub_come_without_their_head() -> None:
    """timm takes a state from its configuration instead of downloading one, so no hub is needed to see that it fits."""
    published = vars(networks)["timm"].create_model("test_resnet", num_classes=1000)
    backbone = Backbone("test_resnet", output_stride=16)
    trunk = backbone.trunk
    configured: dict[str, Any] = vars(trunk)["pretrained_cfg"]
    vars(trunk)["pretrained_cfg"] = {**configured, "state_dict": published.state_dict(), "num_classes": 1000, "classifier": "fc"}
    backbone.initialise(InitialWeights(source="hub", file="", sha256=""))
    assert all(torch.equal(value, published.state_dict()[name]) for name, value in trunk.state_dict().items())
