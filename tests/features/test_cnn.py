"""Patches as a convolutional network sees them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.errors import ParamsError
from seedbed.features.cnn import Cnn
from seedbed.networks.convolutional import FrozenTrunk
from seedbed.networks.patch_vectors import Reduction
from seedbed.networks.weights import InitialWeights
from tests.support.oracles import photograph

KEPT = Reduction(count=0, fit="image", file="", sha256="")


def cnn(source: Any = "none", **changes: Any) -> Cnn:
    weights = InitialWeights(source=source, file="", sha256="")
    trunk = FrozenTrunk(network="test_resnet", output_stride=8, dilated=False, initial_weights=weights)
    given: dict[str, Any] = {"stages": (1, 3), "unit": True, "patch_size": 4, "centred": True, "components": KEPT}
    return Cnn(backbone=trunk, **(given | changes))


@pytest.mark.parametrize(("patch_size", "grid"), [(4, (10, 15)), (20, (2, 3))])
def test_the_whole_is_maps_of_unit_vectors_resized_joined_and_centred(patch_size: int, grid: tuple[int, int]) -> None:
    method, image = cnn(patch_size=patch_size), photograph((37, 58))
    network: Any = method.network().eval()
    trunk = network.backbone.trunk
    mean, deviation = (torch.tensor(trunk.pretrained_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    view = torch.tensor(cv2.resize(image, (60, 40), interpolation=cv2.INTER_CUBIC)).permute(2, 0, 1)[None] / 255
    joined = []
    with torch.no_grad():
        second = trunk.layer2(trunk.layer1(trunk.maxpool(trunk.act1(trunk.bn1(trunk.conv1((view - mean) / deviation))))))
        for maps in (trunk.layer4(trunk.layer3(second)), second):  # the last, and the last but two
            unit = maps / maps.norm(dim=1, keepdim=True)
            joined.append(functional.interpolate(unit, size=grid, mode="bilinear", antialias=True)[0].permute(1, 2, 0))
    expected = torch.cat(joined, dim=-1).numpy()
    (found,) = method.describe([image], network, device="cpu")
    assert found.values.shape == (*grid, method.num_channels)
    assert np.allclose(found.values, expected - expected.mean(axis=(0, 1)), atol=1e-5)


def test_components_are_as_many_as_are_wanted() -> None:
    assert cnn(components=Reduction(count=3, fit="image", file="", sha256="")).num_channels == 3


def test_stages_are_counted_from_the_end() -> None:
    assert cnn(stages=(1,)).num_channels + cnn(stages=(3,)).num_channels == cnn().num_channels
    cnn(stages=(5,)).check()
    with pytest.raises(ParamsError, match=r"params.yaml: stages: found 6; expected 1..5, counted from the end; correct it"):
        cnn(stages=(6,)).check()


def test_weights_of_the_pretraining_are_those_of_a_transformer() -> None:
    expected = "initial_weights.source: found 'pretraining'; expected none, hub or file, because only `features.vit` can start"
    with pytest.raises(ParamsError, match=expected):
        cnn("pretraining").check()
