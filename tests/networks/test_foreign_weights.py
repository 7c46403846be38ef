"""Weights as others publish them: whatever they are wrapped in and called, a network gets them whole, or one line says why not."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from seedbed.errors import WeightsError
from seedbed.networks import backbones as networks
from seedbed.networks.backbones import Backbone, initialise
from seedbed.networks.weights import InitialWeights

timm: Any = vars(networks)["timm"]
SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}
SIZES = {8: 32, 14: 42, 16: 48}  # images by patch size: a grid of 4 x 4 or 3 x 3


def small(architecture: str, *, seed: int = 0, **changes: Any) -> Any:
    """A transformer of an architecture's code, with few and narrow layers of random weights."""
    patch = re.search(r"patch(\d+)", architecture)
    size = SIZES[int(patch[1]) if patch else 16]
    network = timm.create_model(architecture, **(SMALL | {"img_size": size, "dynamic_img_size": True} | changes))
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) / 5)
    return network.eval()


def saved(path: Path, held: Any, **options: Any) -> InitialWeights:
    """A file as torch writes it, and the parameters that name it."""
    stream = io.BytesIO()
    torch.save(held, stream, **options)  # noqa: TID251 (as others do)
    return named(path, stream.getvalue())


def named(path: Path, content: bytes) -> InitialWeights:
    """A file with this content, and the parameters that name it."""
    path.write_bytes(content)
    return InitialWeights(source="file", file=str(path), sha256=hashlib.sha256(content).hexdigest())


def refusal(into: nn.Module, given: InitialWeights) -> str:
    """The line with which weights are refused; the network stays as it is."""
    before = {name: value.clone() for name, value in into.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        initialise(into, given)
    assert all(torch.equal(value, before[name]) for name, value in into.state_dict().items())
    message = str(raised.value)
    assert message.startswith(f"{given.file}: found ") and "\n" not in message
    return message


def alike(one: nn.Module, other: nn.Module, size: tuple[int, int] = (80, 112)) -> bool:
    """Whether two networks make the same of an image, which is not square."""
    image = torch.rand(1, 3, *size)
    with torch.inference_mode():
        return torch.allclose(one.eval()(image), other.eval()(image), atol=1e-5)


# --- The layouts in which networks were published ---


def dino(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINO: timm has its names from there."""
    return dict(state)


def dinov2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2: a token for masked patches; gated layers have other names."""
    renamed = {name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for name, value in state.items()}
    return {**(renamed if state["blocks.0.mlp.fc2.weight"].shape[1] == 64 else state), "mask_token": torch.zeros(1, 24)}


def dinov2_registers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2 with registers: the class token has a position, too."""
    place = torch.randn(1, 1, 24)
    others = {name: value for name, value in state.items() if name not in ("reg_token", "cls_token", "pos_embed")}
    tokens = {"register_tokens": state["reg_token"], "cls_token": state["cls_token"] - place}
    return {**others, **tokens, "pos_embed": torch.cat([place, state["pos_embed"]], dim=1), "mask_token": torch.zeros(1, 24)}


def dinov3(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv3: registers are called storage, one bias for queries, keys and values, and a mask that leaves keys out."""
    given: dict[str, Tensor] = {"mask_token": torch.zeros(1, 24), "rope_embed.periods": (100 ** (2 * torch.arange(3) / 6)).bfloat16()}
    for name, value in state.items():
        attention, _, entry = name.rpartition("attn.")
        if entry == "v_bias":
            continue
        if entry == "q_bias":
            given[f"{attention}attn.qkv.bias"] = torch.cat([value, torch.full((24,), 9.0), state[f"{attention}attn.v_bias"]])
            given[f"{attention}attn.qkv.bias_mask"] = torch.ones(72)
        else:
            new = name.replace("reg_token", "storage_tokens").replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
            gated = new.replace("fc1_g", "w1").replace("fc1_x", "w2")
            given[gated.replace("fc2", "w3") if f"{name.rpartition('fc2')[0]}fc1_g.weight" in state else gated] = value
    return given


def clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image tower of CLIP in timm's names, with the projection that compares it with texts."""
    return {**state, "head.weight": torch.rand(16, state["norm.weight"].numel())}


PUBLISHED = {
    "vit_base_patch8_224.dino": dino,
    "vit_small_patch16_224.dino": dino,
    "vit_small_patch14_dinov2.lvd142m": dinov2,
    "vit_giant_patch14_dinov2.lvd142m": dinov2,
    "vit_small_patch14_reg4_dinov2.lvd142m": dinov2_registers,
    "vit_small_patch16_dinov3.lvd1689m": dinov3,
    "vit_base_patch16_clip_quickgelu_224.openai": clip,
    "vit_small_patch16_dinov3_qkvb.lvd1689m": dinov3,
    "vit_small_plus_patch16_dinov3_qkvb.lvd1689m": dinov3,
}


@pytest.mark.parametrize("architecture", PUBLISHED)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_the_original_layout_gives_the_same_network(
    tmp_path: Path, architecture: str, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    original, into = small(architecture), small(architecture, seed=1)
    size = original.patch_embed.patch_size[0]
    assert not alike(original, into, (5 * size, 7 * size))
    given = {name: value.clone() for name, value in PUBLISHED[architecture](original.state_dict()).items()}
    file = tmp_path / f"a{ending}"
    initialise(into, saved(file, given) if ending == ".pth" else named(file, safetensors.torch.save(given)))
    assert alike(original, into, (5 * size, 7 * size))
    assert capsys.readouterr() == ("", "")


def test_registers_keep_their_tokens_and_places(tmp_path: Path) -> None:
    original, into = small("vit_small_patch14_reg4_dinov2"), small("vit_small_patch14_reg4_dinov2", seed=1)
    initialise(into, saved(tmp_path / "a.pth", dinov2_registers(original.state_dict())))
    assert torch.allclose(into.state_dict()["cls_token"], original.state_dict()["cls_token"])
    assert all(torch.equal(into.state_dict()[name], original.state_dict()[name]) for name in ("reg_token", "pos_embed"))


# --- What weights are wrapped in ---


def checkpoint(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """As DINO's own training leaves it: two networks, each with its head, and all that a training has beside them."""
    teacher = {f"backbone.{name}": value for name, value in state.items()} | {"head.mlp.0.weight": torch.ones(5, 24)}
    student = {f"module.{name}": torch.zeros_like(value) for name, value in teacher.items()}
    groups = [{"lr": np.float64(0.1), "betas": (0.9, 0.99), "params": [0]}]
    others = {"optimizer": {"state": {}, "param_groups": groups}, "epoch": 3, "args": argparse.Namespace(arch="vit_small", lr=0.1)}
    return {"student": student, "teacher": teacher, **others, "dino_loss": {"center": torch.ones(1, 5)}}


WRAPPED: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Any]]] = {
    "checkpoint of DINO": checkpoint,
    "state_dict": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 2},
    "model": lambda state: {"model": dict(state)},
    "both": lambda state: {"state_dict": {name: value * 0 for name, value in state.items()}, "state_dict_ema": dict(state)},
    "student's head": lambda state: {f"module.backbone.{name}": value for name, value in state.items()} | {"dino_head.mlp": torch.ones(2)},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False])
def test_wrappers_are_taken_off_and_heads_left_out(tmp_path: Path, wrapped: str, zipped: bool) -> None:
    original, into = small("vit_small_patch8_224.dino"), small("vit_small_patch8_224.dino", seed=1)
    initialise(into, saved(tmp_path / "a.bin", WRAPPED[wrapped](original.state_dict()), _use_new_zipfile_serialization=zipped))
    assert alike(original, into)


def test_a_convolutional_network_as_torchvision_publishes_it(tmp_path: Path) -> None:
    resnet18: Any = vars(importlib.import_module("torchvision.models"))["resnet18"]
    resnet: nn.Module = resnet18(num_classes=7)
    backbone = Backbone("resnet18", output_stride=16)
    given = {name: value for name, value in resnet.state_dict().items() if not name.endswith("num_batches_tracked")}  # old files
    initialise(backbone.trunk, saved(tmp_path / "resnet18.pth", given))
    resnet.eval(), backbone.eval()
    view = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = nn.Sequential(*list(resnet.children())[:-3])(view)  # until the stage that a stride of 16 changes
        found = nn.Sequential(
            *[getattr(backbone.trunk, name) for name in ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3")]
        )
        assert torch.equal(found(view), expected)
    assert all(torch.equal(value, given[name]) for name, value in backbone.trunk.state_dict().items() if name in given)


# --- What does not fit ---


class Anything:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("unpickled",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("held", "name"), [({"a": Anything()}, "print"), (nn.Linear(2, 3), "torch.nn.modules.linear.Linear"), ({"a": Path()}, "pathlib")]
)
def test_more_than_weights_is_not_unpacked(tmp_path: Path, held: Any, name: str, zipped: bool, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(small("test_vit"), saved(tmp_path / "a.pth", held, _use_new_zipfile_serialization=zipped))
    assert f"found a pickle that holds more than weights: {name}" in message.replace(
        "builtins.", ""
    )  # which older versions of torch say too
    assert "; expected tensors by name, because nothing else is unpickled; if you trust the file, save its state_dict alone" in message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_was_cut_off(tmp_path: Path, zipped: bool) -> None:
    into = small("test_vit")
    whole = Path(saved(tmp_path / "whole.pth", into.state_dict(), _use_new_zipfile_serialization=zipped).file).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        message = refusal(into, named(tmp_path / "a.pth", whole[:length]))
        assert "found no weights (" in message and message.endswith("; expected a file from torch.save; download it again")
        assert len(message) < len(str(tmp_path)) + 250  # torch's advice to read it without care is left out


def test_another_digest(tmp_path: Path) -> None:
    given = saved(tmp_path / "a.pth", {"a": torch.ones(2)})
    message = refusal(small("test_vit"), InitialWeights(source="file", file=given.file, sha256="0" * 64))
    assert f"found sha256 {given.sha256}; expected {'0' * 64}; set initial_weights.sha256 to what was found" in message


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([torch.ones(2)], "found a list; expected tensors by name; save its state_dict"),
        (
            {"epoch": 3, "teacher": {"epoch": 4}},
            "found no tensors, but epoch; expected tensors by name; name a file that holds a network's state_dict",
        ),
        ({}, "found no tensors, but nothing; expected tensors by name; name a file that holds a network's state_dict"),
    ],
)
def test_a_file_without_tensors_by_name(tmp_path: Path, held: Any, expected: str) -> None:
    assert expected in refusal(small("test_vit"), saved(tmp_path / "a.pth", held))


@pytest.mark.parametrize(
    ("given", "into", "expected"),
    [
        ("vit_small_patch14_reg4_dinov2", "vit_small_patch14_dinov2", "unknown reg_token"),
        ("vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "timm cannot convert (RuntimeError: "),
        ("vit_small_patch16_dinov3", "vit_small_patch16_224", "no pos_embed, no blocks.0.attn.qkv.bias"),
        ("vit_small_patch16_224", "vit_small_patch16_dinov3", "no reg_token, no blocks.0.gamma_1"),
    ],
)
def test_another_architecture(tmp_path: Path, given: str, into: str, expected: str) -> None:
    message = refusal(small(into), saved(tmp_path / "a.pth", small(given).state_dict()))
    assert expected in message


def test_another_width(tmp_path: Path) -> None:
    message = refusal(small("vit_small_patch8_224"), saved(tmp_path / "a.pth", small("vit_small_patch8_224", embed_dim=48).state_dict()))
    assert "entries that do not fit: cls_token (1, 1, 48), " in message


def test_another_patch_size_is_another_architecture_although_timm_could_resize_it(tmp_path: Path) -> None:
    message = refusal(small("vit_small_patch8_224"), saved(tmp_path / "a.pth", small("vit_small_patch16_224").state_dict()))
    assert "found patches of another size than 8 x 8 pixels; expected the weights of this architecture; choose the architecture" in message


@pytest.mark.parametrize("size", [28, 70])
def test_positions_of_another_grid_are_interpolated_and_that_is_said(tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    original, into = small("vit_small_patch14_dinov2", img_size=size), small("vit_small_patch14_dinov2")
    given = saved(tmp_path / "a.pth", dinov2(original.state_dict()))
    initialise(into, given)
    assert capsys.readouterr() == ("", f"{given.file}: interpolated to this network's size: pos_embed\n")
    before, after = original.state_dict()["pos_embed"], into.state_dict()["pos_embed"]
    assert after.shape == (1, 1 + 9, 24) and torch.equal(after[:, 0], before[:, 0])  # the class token has no place in the grid
    assert all(torch.equal(value, into.state_dict()[name]) for name, value in original.state_dict().items() if name != "pos_embed")


def test_biases_for_which_there_is_no_place(tmp_path: Path) -> None:
    given = dinov3(small("vit_small_patch16_dinov3_qkvb").state_dict())
    message = refusal(small("vit_small_patch16_dinov3"), saved(tmp_path / "a.pth", given))
    assert "found 2 biases that this architecture has no place for: blocks.0.attn.qkv.bias, blocks.1.attn.qkv.bias; " in message
    assert "expected none, or zeros; choose the architecture with _qkvb in its name" in message
    few = dict(given)
    few["blocks.0.attn.qkv.bias"] = torch.zeros(72).index_fill(0, torch.tensor(3), 1.0)  # of one query
    few["blocks.1.attn.qkv.bias"] = torch.zeros(72).index_fill(0, torch.arange(24, 48), 1.0)  # of keys, where it changes nothing
    message = refusal(small("vit_small_patch16_dinov3"), saved(tmp_path / "a.pth", few))
    assert "found 1 biases that this architecture has no place for: blocks.0.attn.qkv.bias; " in message
    zeros = {name: value * 0 if name.endswith("qkv.bias") else value for name, value in given.items()}
    initialise(small("vit_small_patch16_dinov3"), saved(tmp_path / "a.pth", zeros))


def test_other_rotations(tmp_path: Path) -> None:
    given = dinov3(small("vit_small_patch16_dinov3").state_dict())
    given["rope_embed.periods"] = given["rope_embed.periods"] * 2
    message = refusal(small("vit_small_patch16_dinov3"), saved(tmp_path / "a.pth", given))
    assert "found rotary positions with other periods, the longest 43" in message


@pytest.mark.parametrize(("rounding", "refused"), [(1.008, False), (1.013, True)])
def test_rotations_may_be_rounded(rounding: float, refused: bool, tmp_path: Path) -> None:
    network = small("vit_small_patch16_dinov3")
    given = dinov3(network.state_dict())
    given["rope_embed.periods"] = dict(network.named_buffers())["rope.periods"] * rounding
    file = saved(tmp_path / "a.pth", given)
    if refused:
        assert "found rotary positions with other periods" in refusal(network, file)
    else:
        initialise(network, file)


def test_what_timm_cannot_convert(tmp_path: Path) -> None:
    given = dinov2_registers(small("vit_small_patch14_reg4_dinov2").state_dict())
    del given["pos_embed"]
    message = refusal(small("vit_small_patch14_reg4_dinov2"), saved(tmp_path / "a.pth", given))
    assert "found entries that timm cannot convert (KeyError: 'pos_embed'); expected the weights of this architecture" in message


def test_another_ending(tmp_path: Path) -> None:
    message = refusal(small("test_vit"), named(tmp_path / "a.npz", b""))
    assert "found the ending '.npz'; expected a file that ends in .safetensors, .pth, .pt, .bin; rename it" in message


# --- The hub ---


def test_weights_of_the_hub_are_whole_or_refused() -> None:
    """timm takes a state from its configuration instead of downloading one, so no hub is needed to see what it makes of it."""
    published = timm.create_model("test_resnet", num_classes=1000).state_dict()
    trunk = timm.create_model("test_resnet", num_classes=0)
    del published["layer1.0.conv1.weight"]
    trunk.pretrained_cfg = {**trunk.pretrained_cfg, "state_dict": published, "num_classes": 1000, "classifier": "fc"}
    with pytest.raises(WeightsError) as raised:
        initialise(trunk, InitialWeights(source="hub", file="", sha256=""))
    assert str(raised.value) == (
        "params.yaml: initial_weights.source: hub: found 1 entries that do not fit: no layer1.0.conv1.weight; "
        "expected this backbone's entries; name the weights of this backbone, or the backbone of these weights"
    )


def test_a_network_without_weights_in_the_hub() -> None:
    trunk = timm.create_model("vit_small_patch8_224", **SMALL, img_size=32, pretrained_cfg={"mean": (0, 0, 0), "input_size": (3, 32, 32)})
    with pytest.raises(WeightsError, match=r"source: found hub, but weights for this network could not be loaded \(RuntimeError\)"):
        initialise(trunk, InitialWeights(source="hub", file="", sha256=""))


def test_only_a_file_that_is_named_is_looked_for(tmp_path: Path) -> None:
    InitialWeights(source="none", file="", sha256="").check_file()
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        InitialWeights(source="file", file=str(tmp_path / "absent.pth"), sha256="0" * 64).check_file()


def test_a_network_that_has_a_prefix_itself_keeps_it(tmp_path: Path) -> None:
    into = nn.Module()
    into.backbone = nn.Linear(2, 1)
    given = {"backbone.weight": torch.tensor([[3.0, 4.0]]), "backbone.bias": torch.tensor([5.0])}
    initialise(into, saved(tmp_path / "a.pth", given))
    assert all(torch.equal(value, given[name]) for name, value in into.state_dict().items())
