"""Transformers: what they are given and what is kept of them."""

from __future__ import annotations

import pytest
import torch

from seedbed.errors import ParamsError
from seedbed.networks.transformer import Tokens, Transformer, compute_keys


def test_images_are_standardised_by_the_mean_and_the_deviation_of_their_network() -> None:
    tokens = Tokens("deit_tiny_patch16_224", patch_size=16).eval()
    images, mean, deviation = torch.rand(1, 3, 32, 48), torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen: list[torch.Tensor] = []
    tokens.trunk.patch_embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        tokens(images)
    assert torch.allclose(seen[0], (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1), atol=1e-6)


def test_mean_and_deviation_belong_to_the_architecture_and_not_to_the_weights() -> None:
    tokens = Tokens("test_vit", patch_size=16)
    assert {name for name, _ in tokens.named_buffers()} >= {"mean", "deviation"}
    assert all(name.startswith("trunk.") for name in tokens.state_dict())


def test_keys_have_the_bias_of_keys() -> None:
    """Networks of timm begin with biases of 0, which would hide another one."""
    attention = Tokens("test_vit", patch_size=16).trunk.blocks[0].attn
    bias, given = torch.nn.init.normal_(attention.qkv.bias), torch.rand(2, 5, 64)
    expected = (given @ attention.qkv.weight.T + bias).chunk(3, dim=-1)[1]
    assert torch.allclose(compute_keys(attention, given), expected, atol=1e-5)
    attention.qkv.bias = None
    assert torch.allclose(compute_keys(attention, given), expected - bias.chunk(3)[1], atol=1e-5)


def test_an_image_is_summarised_by_its_class_token_or_by_the_mean_of_its_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, given = Tokens("test_vit", patch_size=16), torch.rand(2, 7, 5)
    monkeypatch.setattr(Tokens, "forward", lambda *_: given)
    assert torch.equal(tokens.summarise(torch.rand(2, 3, 32, 48)), given[:, 0])
    tokens.trunk.num_prefix_tokens = 0
    expected = torch.stack([given[:, place] for place in range(7)]).mean(dim=0)
    assert torch.allclose(tokens.summarise(torch.rand(2, 3, 32, 48)), expected)


def test_blocks_are_counted_from_the_end_as_far_as_there_are_any() -> None:
    depth = len(Tokens("test_vit", patch_size=16).trunk.blocks)
    assert Transformer("test_vit", patch_size=16, what="keys", block=depth).block_index == 0
    with pytest.raises(ParamsError, match=rf"block: found {depth + 1}; expected 1\.\.{depth}, counted from the end"):
        Transformer("test_vit", patch_size=16, what="keys", block=depth + 1)
