"""Suppression of what tells most."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seedbed.errors import ParamsError
from seedbed.networks.backbones import Backbone
from seedbed.networks.suppression import Suppression, suppress, suppress_behind, suppress_last_stage


def features(*, seed: int = 0) -> Tensor:
    """Positive features of two samples, not square."""
    return torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))


def test_a_known_answer() -> None:
    assert suppress(torch.tensor([[[[0.0, 2.0, 10.0]], [[1.0, 1.0, 0.5]]]]), 0.5).tolist() == [[[[0.0, 2.0, 5.0]], [[0.5, 0.5, 0.5]]]]


def test_the_highest_is_a_share_of_what_it_was_and_what_lies_below_stays() -> None:
    before = features()
    after = suppress(before, 0.4)
    bound = 0.4 * before.amax(dim=(2, 3), keepdim=True)
    assert torch.equal(after.amax(dim=(2, 3), keepdim=True), bound)
    assert torch.equal(after[before < bound], before[before < bound])
    assert torch.equal(after[before >= bound], bound.expand_as(before)[before >= bound])


def test_the_order_of_values_stays() -> None:
    before = features()
    after = suppress(before, 0.3).flatten(2)
    order = before.flatten(2).argsort(dim=2)
    assert (after.gather(2, order).diff(dim=2) >= 0).all()


def test_all_of_it_leaves_features_as_they_are() -> None:
    assert torch.equal(suppress(features(), 1.0), features())


def test_each_sample_and_each_channel_has_a_highest_of_its_own() -> None:
    before = features()
    apart = torch.stack([suppress(one[None, [channel]], 0.5)[0, 0] for one in before for channel in range(3)])
    assert torch.equal(suppress(before, 0.5).flatten(0, 1), apart)


def test_the_highest_has_a_gradient() -> None:
    """What is brought down moves with the highest, which is the source's."""
    before = torch.tensor([[[[4.0, 3.0, 1.0]]]], requires_grad=True)
    suppress(before, 0.5).sum().backward()
    assert before.grad is not None and before.grad.tolist() == [[[[1.0, 0.0, 1.0]]]]  # 0.5 for each of two


def test_the_activation_is_of_what_is_positive() -> None:
    assert Suppression(0.5)(torch.tensor([[[[-8.0, 1.0, 4.0]]]])).tolist() == [[[[0.0, 1.0, 2.0]]]]


@pytest.mark.parametrize("name", ["test_resnet", "resnet50"])
def test_every_block_of_the_last_stage_suppresses(name: str) -> None:
    trunk = Backbone(name, output_stride=16).trunk
    suppress_last_stage(trunk, 0.6, asked_by="classifier.ssc")
    found = [place for place, one in trunk.named_modules() if isinstance(one, Suppression)]
    last = "act2" if name == "test_resnet" else "act3"
    assert found == [f"layer4.{number}.{last}" for number in range(len(trunk.layer4))]
    assert {one.share for one in trunk.modules() if isinstance(one, Suppression)} == {0.6}


def test_what_is_no_resnet_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"^params\.yaml: classifier\.ssc\.backbone: found a network that is no ResNet of timm"):
        suppress_last_stage(Backbone("vgg11", output_stride=16).trunk, 0.5, asked_by="classifier.ssc.backbone")


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_behind_a_stage_it_holds_for_a_while(stage: int) -> None:
    torch.manual_seed(0)
    trunk = Backbone("test_resnet", output_stride=16).trunk.eval()
    seen: list[Tensor] = []
    following = trunk.layer4 if stage == 4 else getattr(trunk, f"layer{stage + 1}")
    image = torch.rand(1, 3, 40, 56)
    plain = trunk(image)
    with suppress_behind(trunk, stage, 0.5):
        if stage < 4:
            hook = following.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        held = trunk(image)
        if stage < 4:
            hook.remove()
    assert torch.equal(trunk(image), plain) and not torch.equal(held, plain)
    [entering] = seen or [held]
    flat = entering.flatten(2)
    assert (flat == flat.amax(dim=2, keepdim=True)).sum(dim=2).float().mean() > 1.5  # many share the highest


def test_behind_no_stage_nothing_changes() -> None:
    trunk = Backbone("test_resnet", output_stride=16).trunk.eval()
    image = torch.rand(1, 3, 40, 56)
    plain = trunk(image)
    with suppress_behind(trunk, 0, 0.1):
        assert torch.equal(trunk(image), plain)
