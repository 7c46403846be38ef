"""Networks some of whose features are left out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seedbed.networks.backbones import Backbone
from seedbed.networks.dropped import Dropped, drop_features

SIZE = (40, 56)


def stages(backbone: Backbone, share: float | Tensor, what: Dropped) -> list[Tensor]:
    """What every stage gives while features are left out."""
    found: list[Tensor] = []
    with drop_features(backbone.trunk, share, what=what):
        hooks = [
            backbone.trunk.get_submodule(one["module"]).register_forward_hook(lambda _, __, out: found.append(out))
            for one in backbone.trunk.feature_info
        ]
        backbone(torch.rand(3, 3, *SIZE))
        for hook in hooks:
            hook.remove()
    return found


@pytest.fixture(params=[("test_resnet", 16), ("test_vit", 16), ("vgg11", 16)], ids=lambda one: one[0], scope="module")
def backbone(request: pytest.FixtureRequest) -> Backbone:
    name, stride = request.param
    return Backbone(name, output_stride=stride).eval()


def by_channel(features: Tensor) -> Tensor:
    """Values (image, channel, place) of maps or tokens."""
    return features.flatten(2) if features.ndim == 4 else features.transpose(1, 2)


def test_whole_channels_are_left_out_of_every_stage(backbone: Backbone) -> None:
    torch.manual_seed(0)
    found = stages(backbone, 0.4, "channels")
    assert len(found) == len(backbone.trunk.feature_info)
    gone, before = ([(by_channel(one) == 0).all(dim=2) for one in each] for each in (found, stages(backbone, 0.0, "channels")))
    assert gone[0][~before[0]].float().mean() == pytest.approx(0.4, abs=0.15)  # some have no positive value anyway
    assert all(not torch.equal(one[0], one[1]) for one in gone)  # others in every image


def test_single_values_are_left_out(backbone: Backbone) -> None:
    torch.manual_seed(0)
    last = by_channel(stages(backbone, 0.3, "values")[-1])
    some = (last == 0).float().mean(dim=2)
    assert ((some > 0) & (some < 1)).any()


def test_what_is_left_grows_to_make_up_for_it() -> None:
    backbone = Backbone("test_vit", output_stride=16).eval()
    images = torch.rand(1, 3, *SIZE)
    found: dict[str, Tensor] = {}
    first = backbone.trunk.blocks[0]
    for name, share in (("all", 0.0), ("some", 0.25)):
        with drop_features(backbone.trunk, torch.tensor(share), what="channels"):
            hook = first.register_forward_hook(lambda _, __, out, name=name: found.update({name: out}))
            backbone(images)
            hook.remove()
    left = found["some"] != 0
    assert torch.allclose(found["some"][left], found["all"][left] / 0.75, rtol=1e-5)
    assert 0 < left.float().mean() < 1


def test_afterwards_nothing_is_left_out(backbone: Backbone) -> None:
    images = torch.rand(1, 3, *SIZE)
    before = backbone(images)
    with drop_features(backbone.trunk, 0.5, what="values"):
        assert not torch.equal(backbone(images), before)
    assert torch.equal(backbone(images), before)
