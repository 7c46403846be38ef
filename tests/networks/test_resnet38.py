"""ResNet38: what the works describe, written down once more. Its 105 million weights are drawn once, and shared by all networks here."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.errors import ParamsError, WeightsError
from seedbed.learning.footprint import estimate_memory
from seedbed.networks.backbones import Backbone, Norms, Trunk, initialise
from seedbed.networks.contracts import State
from seedbed.networks.deeplab import DeepLab
from seedbed.networks.resnet38 import Bottleneck, Plain, ResNet38
from seedbed.networks.weights import InitialWeights, fit_entries
from seedbed.tools import export_model
from seedbed.types import cells

NAMES = {  # of blocks: channels that enter, of the convolutions in between, and that leave
    "b2": (64, 128, 128),
    **dict.fromkeys(("b2_1", "b2_2"), (128, 128, 128)),
    "b3": (128, 256, 256),
    **dict.fromkeys(("b3_1", "b3_2"), (256, 256, 256)),
    "b4": (256, 512, 512),
    **dict.fromkeys(("b4_1", "b4_2", "b4_3", "b4_4", "b4_5"), (512, 512, 512)),
    "b5": (512, 512, 1024),
    **dict.fromkeys(("b5_1", "b5_2"), (1024, 512, 1024)),
    "b6": (1024, 512, 1024, 2048),
    "b7": (2048, 1024, 2048, 4096),
}


def sketch(stride: int = 8, *, dilated: bool = True) -> Backbone:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return Backbone("resnet38", output_stride=stride, dilated=dilated)


@pytest.fixture(scope="module")
def state() -> State:
    """Weights with which values neither vanish nor grow. Numbers recur in them, because drawing all would take long."""
    drawn = torch.randn(10_007, generator=torch.Generator().manual_seed(3))

    def draw(shape: torch.Size) -> Tensor:
        return drawn.repeat(shape.numel() // len(drawn) + 1)[: shape.numel()].view(shape)

    filled = {}
    for name, value in sketch().trunk.state_dict().items():
        if value.ndim == 4:
            filled[name] = draw(value.shape).div_(value[0].numel() ** 0.5)
        elif name.endswith(("weight", "running_var")):
            filled[name] = 0.5 + draw(value.shape).abs_()
        else:
            filled[name] = draw(value.shape).mul_(0.3) if value.is_floating_point() else torch.tensor(0)
    return filled


def built(state: State, stride: int, *, dilated: bool = True) -> ResNet38:
    """A network with these weights, which it does not copy."""
    network = sketch(stride, dilated=dilated).trunk
    assert isinstance(network, ResNet38)
    network.load_state_dict(state, assign=True)
    return network.eval()


# --- What it computes ---


def convolve(values: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    return functional.conv2d(values, weight, stride=stride, padding=dilation * (weight.shape[2] // 2), dilation=dilation)


def activate(values: Tensor, state: State, norm: str) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{norm}.{entry}"].view(1, -1, 1, 1) for entry in ("running_mean", "running_var", "weight", "bias")
    )
    return ((values - mean) / (variance + 1e-5).sqrt() * weight + bias).relu()


def test_the_whole_network_written_down_block_by_block(state: State) -> None:
    """At a stride of 8, as in PSA and SEAM."""
    images = torch.rand(2, 3, 26, 44, generator=torch.Generator().manual_seed(1))
    values, maps = convolve(images, state["conv1a.weight"]), []
    for name in NAMES:
        weights = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.conv")}
        stride = 2 if name in ("b2", "b3", "b4") else 1
        seen = activate(values, state, f"{name}.bn_branch2a")
        kept = convolve(seen, weights["conv_branch1.weight"], stride) if "conv_branch1.weight" in weights else values
        if name in ("b2", "b3", "b4", "b5", "b6"):
            maps.append(seen)
        if name in ("b6", "b7"):
            inner = convolve(seen, weights["conv_branch2a.weight"])
            inner = convolve(activate(inner, state, f"{name}.bn_branch2b1"), weights["conv_branch2b1.weight"], dilation=4)
            inner = convolve(activate(inner, state, f"{name}.bn_branch2b2"), weights["conv_branch2b2.weight"])
        else:
            first = 2 if name in ("b5_1", "b5_2") else 1
            inner = convolve(seen, weights["conv_branch2a.weight"], stride, first)
            second = 2 if name.startswith("b5") else 1
            inner = convolve(activate(inner, state, f"{name}.bn_branch2b1"), weights["conv_branch2b1.weight"], dilation=second)
        values = kept + inner
    maps.append(activate(values, state, "bn7"))
    with torch.inference_mode():
        found = built(state, 8).forward_intermediates(images, indices=6)
    assert maps[-1].shape == (2, 4096, 4, 6) and maps[-1].std() > 0.1
    for one, other in zip(found, maps, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.std()))


@torch.inference_mode()
def test_dilation_makes_up_for_strides_that_are_taken_away(state: State) -> None:
    """Where a coarse network has a cell, a dilated one says the same, and the same whenever it is asked."""
    images = torch.rand(1, 3, 40, 72, generator=torch.Generator().manual_seed(2))
    fine, middle, coarse = (built(state, stride)(images) for stride in (8, 16, 32))
    assert [tuple(one.shape[2:]) for one in (fine, middle, coarse)] == [(5, 9), (3, 5), (2, 3)]
    for one, other in ((fine[..., ::2, ::2], middle), (middle[..., ::2, ::2], coarse)):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.std()))
    assert torch.equal(built(state, 32)(images), coarse)
    plain = built(state, 8, dilated=False)(images)
    assert plain.shape == fine.shape and not torch.allclose(plain[..., ::4, ::4], coarse, atol=0.1 * float(coarse.std()))


@pytest.mark.parametrize(("stride", "dilated"), [(8, False), (8, True), (16, True), (32, True)])
def test_every_stage_has_a_map(stride: int, dilated: bool) -> None:
    backbone = sketch(stride, dilated=dilated)
    maps = backbone.maps(torch.rand(2, 3, 50, 75, device="meta"), count=6)
    assert [tuple(one.shape[2:]) for one in maps] == [cells((50, 75), min(stride, 2**number)) for number in range(6)]
    assert [one.shape[1] for one in maps] == backbone.widths(6, asked_by="channels") == [64, 128, 256, 512, 1024, 4096]
    last = backbone.maps(torch.rand(2, 3, 50, 75, device="meta"), count=3)
    assert [one.shape for one in last] == [one.shape for one in maps[-3:]] and backbone.num_features == 4096


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_without_dilation_convolutions_reach_as_far_as_those_of_the_original_network(stride: int) -> None:
    convolutions = [one for one in sketch(stride, dilated=False).modules() if isinstance(one, torch.nn.Conv2d)]
    assert {one.dilation for one in convolutions} == {(1, 1)}


def test_images_are_standardised_by_the_mean_and_the_deviation_of_imagenet() -> None:
    assert ResNet38.pretrained_cfg == {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # where `Backbone` looks


# --- Blocks ---


def test_a_block_that_keeps_its_shape_adds_to_what_entered_itself() -> None:
    same, wider, coarser = (Plain((4, 5, wide), stride=stride, dilations=(1, 2)).eval() for wide, stride in ((4, 1), (6, 1), (4, 2)))
    values = torch.rand(1, 4, 6, 9)
    for block in (same, wider, coarser):
        torch.nn.init.zeros_(block.conv_branch2b1.weight)
    assert torch.equal(same(values, same.activate(values)), values)
    assert wider.conv_branch1 is not None and coarser.conv_branch1 is not None
    assert torch.equal(wider(values, wider.activate(values)), wider.conv_branch1(wider.activate(values)))
    assert coarser(values, coarser.activate(values)).shape == (1, 4, 3, 5)


def test_channels_are_left_out_during_training_alone() -> None:
    torch.manual_seed(0)
    trunk = sketch().trunk
    assert (trunk.b6.dropout.p, trunk.b7.dropout.p) == (0.3, 0.5)
    block, seen = Bottleneck(8, 4000, stride=1, dilation=1, dropout=0.3), list[Tensor]()
    for layer in (block.conv_branch2b1, block.conv_branch2b2):
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    values = torch.rand(1, 8, 3, 5)
    block.eval()
    assert torch.equal(*(block(values, block.activate(values)) for _ in range(2)))
    whole, seen[:] = seen[:2], []
    for norm in (block.bn_branch2b1, block.bn_branch2b2):
        torch.nn.init.ones_(norm.bias)
    block.train()
    block(values, block.activate(values))
    assert [one.shape[1] for one in whole] == [one.shape[1] for one in seen] == [1000, 2000]
    for one in seen:
        left_out = (one == 0).flatten(2).all(dim=2)
        assert left_out.float().mean().item() == pytest.approx(0.3, abs=0.05)


# --- Weights ---


def test_weights_are_called_what_the_works_call_them() -> None:
    shapes = {name: tuple(value.shape) for name, value in sketch().trunk.state_dict().items() if value.ndim == 4}
    expected: dict[str, tuple[int, ...]] = {"conv1a.weight": (64, 3, 3, 3)}
    for name, (entering, first, *others) in NAMES.items():
        sides = (1, 3, 1) if others[1:] else (3, 3)
        layers = ("conv_branch2a", "conv_branch2b1", "conv_branch2b2")
        widths = (entering, first, *others)
        for number, side in enumerate(sides):
            expected[f"{name}.{layers[number]}.weight"] = (widths[number + 1], widths[number], side, side)
        if name in ("b2", "b3", "b4", "b5", "b6", "b7"):
            expected[f"{name}.conv_branch1.weight"] = (widths[-1], entering, 1, 1)
    assert shapes == expected
    assert sum(one.numel() for one in sketch().trunk.parameters()) == 105_070_912


@pytest.mark.parametrize(
    ("norm", "width"),
    [("b2.bn_branch2a", 64), ("b5_1.bn_branch2a", 1024), ("b5_1.bn_branch2b1", 512), ("b6.bn_branch2b2", 1024), ("bn7", 4096)],
)
def test_norms_are_called_what_the_works_call_them(norm: str, width: int) -> None:
    entries = {name: tuple(value.shape) for name, value in sketch().trunk.state_dict().items() if name.startswith(f"{norm}.")}
    names = ("weight", "bias", "running_mean", "running_var")
    assert entries == {f"{norm}.{name}": (width,) for name in names} | {f"{norm}.num_batches_tracked": ()}


def test_weights_come_from_a_file_of_the_works(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of half the size, without counters of batches, and with the layer for its classes that PSA's has."""
    trunk = sketch().trunk
    monkeypatch.setattr(trunk, "load_state_dict", partial(trunk.load_state_dict, assign=True))  # for it has no memory to copy to
    given = {name: value.half() for name, value in state.items() if value.ndim}
    path = tmp_path / "res38.safetensors"
    path.write_bytes(content := safetensors.torch.save(given | {"fc8.weight": torch.ones(20, 4096, 1, 1)}))
    initialise(trunk, InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(content).hexdigest()))
    path.unlink()
    loaded = trunk.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in given.items())


def test_weights_that_lack_an_entry_are_refused() -> None:
    trunk = sketch().trunk
    given = dict(trunk.state_dict())
    given["b8.weight"] = given.pop("b6.conv_branch2b2.weight")
    with pytest.raises(WeightsError) as raised:
        fit_entries(trunk, given, where="res38.safetensors")
    assert str(raised.value) == (
        "res38.safetensors: found 2 entries that do not fit: no b6.conv_branch2b2.weight, unknown b8.weight; expected this backbone's "
        "entries; name the weights of this backbone, or the backbone of these weights"
    )


@pytest.mark.parametrize(("norms", "stages"), [("all", 1), ("none", 2), ("statistics", 5), ("none", 6), ("none", 0)])
def test_what_is_frozen(norms: Norms, stages: int) -> None:
    backbone = sketch()
    backbone.freeze(norms=norms, stages=stages)
    places = (("conv1a",), ("b2",), ("b3",), ("b4",), ("b5",), ("b6", "b7", "bn7"))[:stages]
    first = tuple(name for stage in places for name in stage)
    for name, parameter in backbone.trunk.named_parameters():
        frozen = name.startswith(first) or (norms == "all" and "bn" in name)
        assert parameter.requires_grad is not frozen, name
    backbone.train()
    for name, module in backbone.trunk.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.training is not (norms != "none" or name.startswith(first)), name


# --- Who uses it ---


def trunk(stride: int = 8, source: Any = "none") -> Trunk:
    weights = InitialWeights(source=source, file="", sha256="")
    return Trunk(network="resnet38", output_stride=stride, dilated=True, initial_weights=weights, frozen_norms="none", frozen_stages=0)


def test_a_method_takes_it_as_its_backbone(small_method: Callable[[str, str], Any]) -> None:
    method = dataclasses.replace(small_method("classifier", "cam"), backbone=trunk())
    method.check()
    weights = sum(one.numel() for one in sketch().parameters())
    assert method.memory({"class": 4}) > 12 * weights
    with torch.device("meta"):
        network = DeepLab(Backbone("resnet38", output_stride=8), 3, (2, 3))
    assert estimate_memory(network, method.training, [40]) > 12 * weights


@pytest.mark.slow
def test_it_is_exported_for_images_of_any_size() -> None:
    """Without its weights: a program is the same for all of them."""
    whole = export_model.Exported(DeepLab(sketch(), 2, (1, 2)).to("meta")).eval()
    free = torch.export.Dim.AUTO
    program = torch.export.export(
        whole, (torch.rand(2, 3, 96, 128, device="meta"),), dynamic_shapes=({0: torch.export.Dim("batch"), 2: free, 3: free},), strict=False
    )
    assert program.module()(torch.rand(3, 3, 101, 77, device="meta")).shape == (3, 3, 101, 77)


# --- What is refused ---


@pytest.mark.parametrize("stride", [4, 12, 64])
def test_a_stride_that_it_does_not_have_is_refused(stride: int) -> None:
    with pytest.raises(ParamsError) as raised:
        trunk(stride).check("classifier")
    assert str(raised.value) == (
        f"params.yaml: network: found 'resnet38', which does not support the output stride {stride}; expected a convolutional network of "
        "timm that does; choose another, such as a resnet, or another output_stride"
    )


def test_there_are_no_published_weights_of_it_to_download() -> None:
    expected = (
        "params.yaml: initial_weights.source: found hub, but timm has no weights for this network; expected a network that timm has "
        "weights for; see timm.list_pretrained(), or use source: file"
    )
    with pytest.raises(WeightsError) as raised:
        trunk(source="hub").check("classifier")
    assert str(raised.value) == expected
    with pytest.raises(WeightsError, match="found hub, but weights for this network could not be loaded"):
        initialise(sketch().trunk, InitialWeights(source="hub", file="", sha256=""))


@pytest.mark.parametrize("name", ["resnet_38", "resnet38.psa", "ResNet38"])
def test_a_name_that_is_almost_its_own_is_answered_with_it(name: str) -> None:
    with pytest.raises(ParamsError) as raised:
        Backbone(name, output_stride=8)
    message = str(raised.value)
    assert f"params.yaml: network: found '{name}'; expected a network of timm " in message
    assert message.endswith(" or resnet38 (nearest: resnet38); see timm.list_models()")
