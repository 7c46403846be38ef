"""Patches as a convolutional network sees them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError
from seedbed.features.cnn import Cnn
from seedbed.networks.convolutional import FrozenTrunk
from seedbed.networks.patch_vectors import Reduction
from seedbed.networks.weights import InitialWeights
from seedbed.tools.components import save_components
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


def test_what_is_exported_is_centred_and_reduced_as_well(tmp_path: Path) -> None:
    image = photograph((24, 40))
    network: Any = cnn().network()
    wide = cnn().describe([image], network.eval(), device="cpu")[0].values.reshape(-1, network.width)
    file = tmp_path / "components.safetensors"
    save_components(PrincipalComponents.fit([wide + 0.3], 5), file)  # whose mean is not 0
    fitted = Reduction(count=5, fit="file", file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    for method in (cnn(), cnn(components=fitted), cnn(components=fitted, centred=False)):
        network = method.network().eval()
        [patches] = method.describe([image], network, device="cpu")
        exported = method.exportable(network, scale=1)
        assert exported is not None
        with torch.inference_mode():
            found = exported(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        assert found[0].permute(1, 2, 0).numpy() == pytest.approx(patches.values, abs=1e-4)
    own = cnn(components=Reduction(count=3, fit="image", file="", sha256=""))
    network = own.network()
    assert own.exportable(network, scale=1) is None


def test_components_are_as_many_as_are_wanted() -> None:
    assert cnn(components=Reduction(count=3, fit="image", file="", sha256="")).num_channels == 3


def test_stages_are_counted_from_the_end() -> None:
    assert cnn(stages=(1,)).num_channels + cnn(stages=(3,)).num_channels == cnn().num_channels
    cnn(stages=(5,)).check()
    with pytest.raises(
        ParamsError, match=r"params.yaml: stages: found 6 maps of the network; expected at most 5, counted from the end; correct it"
    ):
        cnn(stages=(6,)).check()


def test_weights_of_the_pretraining_are_those_of_a_transformer() -> None:
    expected = "initial_weights.source: found 'pretraining'; expected none, hub or file, because only `features.vit` can start"
    with pytest.raises(ParamsError, match=expected):
        cnn("pretraining").check()
