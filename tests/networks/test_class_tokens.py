"""Transformers with a token for each class, and their attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seedbed.errors import ParamsError
from seedbed.networks.backbones import Backbone
from seedbed.networks.class_tokens import add_class_tokens, check_attention, sum_attention
from seedbed.networks.transformer import compute_attention

IMAGES = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    made = Backbone("test_vit", output_stride=16).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def test_attention_is_what_the_network_computes(backbone: Backbone) -> None:
    """Values that it mixes by hand are those that it mixes itself."""
    attention = backbone.trunk.blocks[0].attn
    tokens = torch.randn(2, 7, 64)
    one_head = attention.num_heads == 1
    shares = compute_attention(attention, tokens)
    assert shares.shape == (2, 7, 7) and torch.allclose(shares.sum(dim=2), torch.ones(2, 7), atol=1e-5)
    attention.fused_attn = False
    seen = []
    hook = attention.attn_drop.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    attention(tokens)
    hook.remove()
    assert torch.allclose(shares, seen[0].mean(dim=1), atol=1e-5) and not one_head


def test_every_class_begins_with_the_token_that_there_was(backbone: Backbone) -> None:
    before, first = backbone(IMAGES), backbone.trunk.cls_token.detach().clone()
    positions = backbone.trunk.pos_embed.detach().clone()
    add_class_tokens(backbone.trunk, 5)
    trunk = backbone.trunk
    assert trunk.num_prefix_tokens == 5 and trunk.cls_token.shape == (1, 5, 64)
    assert torch.equal(trunk.cls_token, first.repeat(1, 5, 1))
    assert torch.equal(trunk.pos_embed[:, 5:], positions[:, 1:]) and torch.equal(trunk.pos_embed[:, 3], positions[:, 0])
    features, tokens = backbone.tokens(IMAGES)
    assert features.shape == before.shape == (2, 64, 3, 4) and tokens.shape == (2, 5, 64)
    assert torch.allclose(tokens[:, :1].expand_as(tokens), tokens, atol=1e-5)
    assert torch.equal(features, backbone(IMAGES))
    assert {"cls_token", "pos_embed"} <= {name for name, one in trunk.named_parameters() if one.requires_grad}


def test_registers_stay_behind_the_classes() -> None:
    backbone = Backbone("vit_small_patch14_reg4_dinov2", output_stride=14)
    registers, patches = backbone.trunk.num_prefix_tokens - 1, backbone.trunk.pos_embed.shape[1]
    add_class_tokens(backbone.trunk, 3)
    assert backbone.trunk.num_prefix_tokens == registers + 3 and backbone.trunk.cls_token.shape[1] == 3
    assert backbone.trunk.pos_embed.shape[1] == patches  # of patches alone, in this network
    assert backbone.tokens(torch.rand(1, 3, 28, 42))[1].shape[1] == registers + 3


def test_sums_are_of_the_last_blocks(backbone: Backbone) -> None:
    seen: list[torch.Tensor] = []
    hooks = [
        block.attn.register_forward_pre_hook(lambda attention, inputs: seen.append(compute_attention(attention, inputs[0])))
        for block in backbone.trunk.blocks
    ]
    with sum_attention(backbone.trunk, 2, 0, 100, 1) as sums:
        backbone(IMAGES)
    assert len(seen) == len(backbone.trunk.blocks) == 6
    assert torch.allclose(sums[0], seen[-1] + seen[-2]) and isinstance(sums[1], int)
    assert torch.allclose(sums[2], torch.stack(seen).sum(dim=0)) and torch.equal(sums[3], seen[-1])
    for hook in hooks:
        hook.remove()
    backbone(IMAGES)
    assert torch.equal(sums[3], seen[5])  # nothing is added afterwards


@pytest.mark.parametrize(("network", "stride"), [("test_resnet", 16), ("vit_base_patch16_siglip_224", 16)])
def test_networks_without_class_tokens_are_refused(network: str, stride: int) -> None:
    with torch.device("meta"):
        trunk = Backbone(network, output_stride=stride).trunk
    with pytest.raises(ParamsError, match="a network without a class token and plain attention") as caught:
        check_attention(trunk, asked_by="classifier.usage.attention")
    assert "classifier.usage.attention" in str(caught.value) and "deit_small_patch16_224" in str(caught.value)


def test_a_plain_transformer_is_taken(backbone: Backbone) -> None:
    check_attention(backbone.trunk, asked_by="")
