"""What a frozen network perceives."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.errors import ParamsError, WeightsError
from seedbed.networks.perception import PerceivingNetwork, Perception
from seedbed.networks.weights import InitialWeights

NO_WEIGHTS = InitialWeights(source="none", file="", sha256="")
SMALL = Perception(network="test_resnet", initial_weights=NO_WEIGHTS, widest=1000)


def images() -> Tensor:
    """Two images of 48 x 64 pixels."""
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(2))


def drawn(perception: Perception) -> PerceivingNetwork:
    torch.manual_seed(0)
    return perception.initialise().eval()


@pytest.mark.parametrize(
    ("name", "activations"), [("vgg11", [1, 4, 7, 12, 17]), ("vgg19", [1, 6, 11, 20, 29]), ("vgg11_bn", [2, 6, 10, 17, 24])]
)
def test_a_vgg_is_read_at_the_first_activation_of_every_size(name: str, activations: list[int]) -> None:
    """Places in the published networks: relu1_1, relu2_1, ... relu5_1."""
    with torch.device("meta"):
        network = dataclasses.replace(SMALL, network=name).build()
        found = network(images().to("meta"))
    assert all(isinstance(network.backbone.trunk.features[place], nn.ReLU) for place in activations)
    assert network._first == activations and network.levels == 5
    assert [tuple(one.shape[2:]) for one in found] == [(48, 64), (24, 32), (12, 16), (6, 8), (3, 4)]
    assert [one.shape[1] for one in found] == [64, 128, 256, 512, 512]


def test_a_vgg_sees_as_its_layers_say() -> None:
    network = drawn(dataclasses.replace(SMALL, network="vgg11"))
    x, expected = images(), []
    for place, layer in enumerate(network.backbone.trunk.features):
        x = layer(x)
        if place in (1, 4, 7, 12, 17):
            expected.append(x.clone())
    assert all(torch.equal(one, other) for one, other in zip(network(images()), expected, strict=True))


def test_another_network_is_read_at_its_stages() -> None:
    network = drawn(SMALL)
    found = network(images())
    assert network.levels == len(found) == 5
    assert [one.shape[2] for one in found] == [24, 12, 6, 3, 2]
    trunk = network.backbone.trunk
    x = trunk.act1(trunk.bn1(trunk.conv1(images())))
    assert torch.equal(found[0], x)
    for number in range(1, 5):
        x = getattr(trunk, f"layer{number}")(trunk.maxpool(x) if number == 1 else x)
        assert torch.allclose(found[number], x, atol=1e-6)


def test_wide_images_are_halved_until_they_are_not() -> None:
    found = drawn(dataclasses.replace(SMALL, widest=20))(images())
    halved = functional.avg_pool2d(functional.avg_pool2d(images(), 2), 2)
    assert halved.shape == (2, 3, 12, 16)
    assert all(torch.equal(one, other) for one, other in zip(found, drawn(SMALL)(halved), strict=True))
    for widest, edge in ((64, 24), (63, 12)):
        assert drawn(dataclasses.replace(SMALL, widest=widest))(images())[0].shape[2] == edge


def test_images_are_standardised_as_in_its_training() -> None:
    image = torch.rand(1, 3, 4, 5)
    expected = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    assert torch.allclose(drawn(dataclasses.replace(SMALL, network="resnet10t")).standardise(image), expected)
    assert torch.allclose(drawn(SMALL).standardise(image), 2 * image - 1)


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    wanted = drawn(SMALL)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        other = SMALL.initialise()
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(wanted.backbone.trunk.state_dict(), file)
    weights = InitialWeights(source="file", file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    loaded = dataclasses.replace(SMALL, initial_weights=weights).initialise()
    assert all(torch.equal(one, loaded.backbone.trunk.state_dict()[name]) for name, one in wanted.backbone.trunk.state_dict().items())
    assert not torch.equal(other.backbone.trunk.conv1[0].weight, wanted.backbone.trunk.conv1[0].weight)


def test_as_many_levels_as_the_network_has_must_be_weighed() -> None:
    SMALL.check("classifier.ssc", levels=5)
    with pytest.raises(ParamsError, match=r"^params\.yaml: classifier\.ssc: found weights of 4 levels; expected 5, one for each level of"):
        SMALL.check("classifier.ssc", levels=4)


def test_weights_that_there_are_not_are_refused() -> None:
    wanted = InitialWeights(source="hub", file="", sha256="")
    with pytest.raises(WeightsError, match="found hub, but timm has no weights for this network"):
        dataclasses.replace(SMALL, network="seresnet18", initial_weights=wanted).check("classifier.ssc", levels=5)
