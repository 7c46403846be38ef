"""Class maps that the attention of a transformer multiplies and spreads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.cams.attention import Attention
from seedbed.classifier.usage import Usage, UsageNetwork
from seedbed.errors import ParamsError
from tests.support.learning import NUM_CLASSES
from tests.support.toys import Plainest

METHOD = Attention(class_layers=2, patch_layers=4, scales=(1.0, 1.5), interpolation="bilinear", flip=False, over_scales="sum", stride=8)
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
VIEW = torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def usage(small_method: Callable[[str, str], Any]) -> Usage:
    made = small_method("classifier", "usage")
    assert isinstance(made, Usage)
    return dataclasses.replace(made, backbone=dataclasses.replace(made.backbone, network="test_vit", output_stride=16), class_tokens=True)


def network_of(method: Usage) -> UsageNetwork:
    torch.manual_seed(0)
    network = method.network(NUM_CLASSES).eval()
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def watched(trunk: Any, images: Tensor) -> Iterator[Tensor]:
    """Attention (N, N) of every block of an image, the mean over heads, from queries and keys."""
    tokens = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(images)))
    for block in trunk.blocks:
        attention, normed = block.attn, block.norm1(tokens)
        width = normed.shape[2] // attention.num_heads
        values = attention.qkv(normed)[0]
        found = torch.zeros(len(values), len(values))
        for head in range(attention.num_heads):
            queries, keys = (values[:, start + head * width : start + (head + 1) * width] for start in (0, normed.shape[2]))
            found += torch.softmax(queries @ keys.T / math.sqrt(width), dim=1) / attention.num_heads
        yield found
        tokens = block(tokens)


def fuse_plainly(network: UsageNetwork, view: Tensor) -> Tensor:
    """MCTformer's maps (K, y, x): those of patches, by what class tokens attend to in the last 2 blocks, spread by the last 4."""
    seen = list(watched(network.backbone.trunk, (view - network.backbone.mean) / network.backbone.deviation))
    maps = network.head(network.backbone(view))[0].clamp(min=0)
    count = maps[0].numel()
    fused = torch.zeros(NUM_CLASSES, count)
    for label in range(NUM_CLASSES):
        by_token = sum((one[label, NUM_CLASSES:] for one in seen[-2:]), torch.zeros(count)) * maps[label].flatten()
        for patch in range(count):
            to_others = sum((one[NUM_CLASSES + patch, NUM_CLASSES:] for one in seen[-4:]), torch.zeros(count))
            fused[label, patch] = (to_others * by_token).sum()
        fused[label] = (fused[label] - fused[label].min()) / max(float(fused[label].max() - fused[label].min()), 1e-8)
    return fused.view_as(maps)


@torch.no_grad()
def test_the_whole_fusion_written_down_plainly(usage: Usage) -> None:
    """Over two scales, summed; no parameter has its usual value."""
    network = network_of(usage)
    expected = torch.zeros(NUM_CLASSES, 6, 10)
    for size in ((48, 80), (72, 120)):
        view = functional.interpolate(VIEW, size=size, mode="bilinear", align_corners=False)
        view = (view * 255).round() / 255 if size != (48, 80) else view
        expected += functional.interpolate(fuse_plainly(network, view)[None], size=(6, 10), mode="bilinear", align_corners=False)[0]
    expected /= expected.amax(dim=(1, 2), keepdim=True)
    maps, scores = METHOD.compute(network, [IMAGE], [()], [(1, 2, 3)], device="cpu")[0]
    assert np.allclose(maps.maps, expected.numpy(), atol=2e-2) and scores.shape == (1 + NUM_CLASSES,)
    alone, _ = dataclasses.replace(METHOD, scales=(1.0,), stride=16).compute(network, [IMAGE], [()], [(1, 2, 3)], device="cpu")[0]
    assert np.allclose(alone.maps, fuse_plainly(network, VIEW).numpy(), atol=1e-4)


def test_logits_are_those_of_the_network(usage: Usage) -> None:
    network = network_of(usage)
    maps, logits = network.attend(VIEW, class_layers=1, patch_layers=2)
    assert torch.allclose(logits, network(VIEW)[1]) and maps.shape == (1, NUM_CLASSES, 3, 5)
    assert not maps.amin(dim=(2, 3)).any() and torch.allclose(maps.amax(dim=(2, 3)), torch.ones(1, NUM_CLASSES))


def test_without_attention_maps_are_those_of_the_patches(usage: Usage) -> None:
    network = network_of(usage)
    positive = network(VIEW)[0].relu()
    low, high = positive.amin(dim=(2, 3), keepdim=True), positive.amax(dim=(2, 3), keepdim=True)
    assert torch.allclose(network.attend(VIEW, class_layers=0, patch_layers=0)[0], (positive - low) / (high - low))


def test_a_map_without_anything_stays_empty(usage: Usage) -> None:
    network = network_of(usage)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias) if network.head.bias is not None else None
    assert not network.attend(VIEW, class_layers=2, patch_layers=0)[0].any()


def test_what_has_attention_is_not_refused(usage: Usage) -> None:
    METHOD.check_network(lambda: usage.network(3))


def test_what_has_no_attention_is_refused(usage: Usage) -> None:
    with pytest.raises(ParamsError, match=r"cams\.method: found attention, of a classifier that has none; expected multiscale, unless"):
        METHOD.compute(Plainest(3), [IMAGE], [()], [(1,)], device="cpu")
    convolutional = dataclasses.replace(usage, backbone=dataclasses.replace(usage.backbone, network="test_resnet"), class_tokens=False)
    with pytest.raises(ParamsError, match=r"cams\.method: found a network without a class token and plain attention"):
        METHOD.compute(convolutional.network(3).eval(), [IMAGE], [()], [(1,)], device="cpu")
    without = dataclasses.replace(usage, class_tokens=False).network(3).eval()
    with pytest.raises(ParamsError, match=r"class_layers: found 2; expected 0, unless classifier\.usage\.class_tokens is true"):
        METHOD.compute(without, [IMAGE], [()], [(1,)], device="cpu")
    maps, _ = dataclasses.replace(METHOD, class_layers=0).compute(without, [IMAGE], [()], [(1,)], device="cpu")[0]
    assert maps.maps.max() == 1
