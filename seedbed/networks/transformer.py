"""Vision transformers of timm as a source of patch features.

Shapes: B images, C image channels, N tokens, D width, y x patches.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import ParamsError, nearest
from seedbed.networks.backbones import initialise
from seedbed.networks.repaired import timm
from seedbed.networks.weights import InitialWeights


@cache
def find_width(architecture: str) -> int:
    """Length of a transformer's vectors, found without allocating its weights."""
    with torch.device("meta"):
        return int(_build(architecture, {}).embed_dim)


def _build(architecture: str, options: dict[str, Any]) -> Any:
    if not timm.is_model(architecture.partition(".")[0]):
        raise ParamsError(
            "params.yaml: architecture",
            found=repr(architecture),
            expected=f"a transformer of timm {timm.__version__}{nearest(architecture, timm.list_models('*vit*'))}",
            do="see timm.list_models('*vit*')",
        )
    try:
        network: Any = timm.create_model(architecture, num_classes=0, dynamic_img_size=True, **options)
        if not hasattr(network.blocks[-1], "attn"):
            raise TypeError("no blocks with one attention each")
    except (AttributeError, TypeError, RuntimeError) as error:
        raise ParamsError(
            "params.yaml: architecture",
            found=f"{architecture!r}, which is not a plain vision transformer: {error}",
            expected="one that takes images of any size",
            do="choose another, such as vit_small_patch14_dinov2",
        ) from error
    return network


class Tokens(nn.Module):
    """A transformer without its head. Images enter as RGB in [0, 1]; it standardises them itself."""

    trunk: Any  # timm's
    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: str, *, patch_size: int, drop_path: float = 0.0) -> None:
        """drop_path: probability that an image skips a branch of the last block during training; it falls linearly towards the first."""
        super().__init__()
        self.trunk = _build(architecture, {"patch_size": patch_size, "drop_path_rate": drop_path})
        self.width = int(self.trunk.embed_dim)
        configuration: dict[str, Any] = self.trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(configuration["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(configuration["std"]).view(1, 3, 1, 1), persistent=False)

    def initialise(self, weights: InitialWeights) -> Self:
        """The same network with weights."""
        initialise(self.trunk, weights)
        return self

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Tokens (B, N, D) after the last block; class and register tokens come before the patches."""
        tokens_BND: Tensor = self.trunk.forward_features((images_BCYX - self.mean) / self.deviation)
        return tokens_BND

    def summarise(self, images_BCYX: Tensor) -> Tensor:
        """One vector (B, D) for each image: its class token, or the mean of its patches if the network has no class token."""
        tokens_BND: Tensor = self(images_BCYX)
        return tokens_BND[:, 0] if self.trunk.num_prefix_tokens else tokens_BND.mean(dim=1)


class Transformer(Tokens):
    """A transformer that gives a vector for each patch."""

    def __init__(self, architecture: str, *, patch_size: int, what: str, block: int) -> None:
        super().__init__(architecture, patch_size=patch_size)
        depth = len(self.trunk.blocks)
        if block > depth:
            raise ParamsError("params.yaml: block", found=str(block), expected=f"1..{depth}, counted from the end", do="correct it")
        self.what, self.block_index = what, depth - block
        self.components: PrincipalComponents | None = None  # to reduce its vectors with, if they were fitted beforehand

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Vectors (B, y, x, D) of images whose sides are multiples of the patch size."""
        found: list[Tensor] = []
        block = self.trunk.blocks[self.block_index]
        if self.what == "keys":
            hook = block.attn.register_forward_pre_hook(lambda attention, inputs: found.append(compute_keys(attention, inputs[0])))
        else:
            hook = block.register_forward_hook(lambda _, __, output: found.append(output))
        try:
            last = super().forward(images_BCYX)
        finally:
            hook.remove()
        tokens_BND = last if self.what == "tokens" and self.block_index == len(self.trunk.blocks) - 1 else found[0]
        patches_BND = tokens_BND[:, self.trunk.num_prefix_tokens :]
        edge_y, edge_x = self.trunk.patch_embed.patch_size
        rows, columns = images_BCYX.shape[-2] // edge_y, images_BCYX.shape[-1] // edge_x
        return patches_BND.reshape(images_BCYX.shape[0], rows, columns, -1)


def compute_keys(attention: Any, tokens_BND: Tensor) -> Tensor:
    """Keys (B, N, D) of all heads together, before the attention normalises or rotates them."""
    if getattr(attention, "qkv", None) is None:
        computed: Tensor = attention.k_proj(tokens_BND)
        return computed
    width = attention.qkv.weight.shape[0] // 3
    middle = slice(width, 2 * width)
    bias = attention.qkv.bias[middle] if attention.qkv.bias is not None else None
    if getattr(attention, "q_bias", None) is not None:
        bias = attention.k_bias
    return functional.linear(tokens_BND, attention.qkv.weight[middle], bias)


def compute_attention(attention: Any, tokens_BND: Tensor) -> Tensor:
    """How much each token attends to each (B, N, N), the mean over heads.

    attention: of a plain transformer, which has queries, keys and values in one layer.
    """
    queries_BHND, keys_BHND, _ = attention.qkv(tokens_BND).unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    alike_BHNN = attention.q_norm(queries_BHND) @ attention.k_norm(keys_BHND).transpose(-2, -1)
    attended_BNN: Tensor = (attention.scale * alike_BHNN).softmax(dim=-1).mean(dim=1)
    return attended_BNN
