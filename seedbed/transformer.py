"""Vision transformers of timm as a source of patch features.

Shapes: B images, C image channels, N tokens, D width, y x patches.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed import torchvision_repair
from seedbed.errors import ParamsError, nearest
from seedbed.networks import initialise
from seedbed.weights import InitialWeights

torchvision_repair.apply()
import timm  # noqa: E402 (only after the repair)


class Shape(NamedTuple):
    """What is known of a transformer without building it."""

    patch_size: int
    width: int
    depth: int


@cache
def shape_of(architecture: str) -> Shape:
    """Patch size and width of a transformer."""
    with torch.device("meta"):
        trunk = _built(architecture)
    return Shape(int(trunk.patch_embed.patch_size[0]), int(trunk.embed_dim), len(trunk.blocks))


def _built(architecture: str) -> Any:
    if not timm.is_model(architecture.partition(".")[0]):
        raise ParamsError(
            "params.yaml: architecture",
            found=repr(architecture),
            expected=f"a transformer of timm {timm.__version__}{nearest(architecture, timm.list_models('*vit*'))}",
            do="see timm.list_models('*vit*')",
        )
    try:
        trunk: Any = timm.create_model(architecture, num_classes=0, dynamic_img_size=True)
        if not (hasattr(trunk, "blocks") and hasattr(trunk.blocks[-1], "attn") and trunk.patch_embed.patch_size):
            raise TypeError("no blocks with attention over patches")
    except (AttributeError, TypeError, RuntimeError) as error:
        raise ParamsError(
            "params.yaml: architecture",
            found=f"{architecture!r}, which is no plain vision transformer: {error}",
            expected="one that takes images of any size",
            do="choose another, such as vit_small_patch14_dinov2",
        ) from error
    return trunk


class Transformer(nn.Module):
    """A transformer that gives a vector for each patch."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, architecture: str, *, what: str, block: int) -> None:
        super().__init__()
        self.trunk = _built(architecture)
        depth = len(self.trunk.blocks)
        if block > depth:
            raise ParamsError("params.yaml: block", found=str(block), expected=f"1..{depth}, counted from the end", do="correct it")
        self.what, self.place = what, depth - block
        configuration: dict[str, Any] = self.trunk.pretrained_cfg
        self.register_buffer("mean", torch.tensor(configuration["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(configuration["std"]).view(1, 3, 1, 1), persistent=False)

    def initialised(self, weights: InitialWeights) -> Self:
        """The same network with weights."""
        initialise(self.trunk, weights)
        return self

    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Vectors (B, y, x, D) of images whose sides are multiples of the patch size."""
        found: list[Tensor] = []
        block = self.trunk.blocks[self.place]
        if self.what == "keys":
            hook = block.attn.register_forward_pre_hook(lambda attention, given: found.append(keys(attention, given[0])))
        else:
            hook = block.register_forward_hook(lambda _, __, made: found.append(made))
        try:
            last = self.trunk.forward_features((images_BCYX - self.mean) / self.deviation)
        finally:
            hook.remove()
        tokens_BND = last if self.what == "tokens" and self.place == len(self.trunk.blocks) - 1 else found[0]
        patches_BND = tokens_BND[:, self.trunk.num_prefix_tokens :]
        edge_y, edge_x = self.trunk.patch_embed.patch_size
        rows, columns = images_BCYX.shape[-2] // edge_y, images_BCYX.shape[-1] // edge_x
        return patches_BND.reshape(len(images_BCYX), rows, columns, -1)


def keys(attention: Any, tokens_BND: Tensor) -> Tensor:
    """Keys (B, N, D) of all heads together, as the attention computes them before it normalises or rotates any."""
    if getattr(attention, "qkv", None) is None:
        computed: Tensor = attention.k_proj(tokens_BND)
        return computed
    width = attention.qkv.weight.shape[0] // 3
    middle = slice(width, 2 * width)
    bias = attention.qkv.bias[middle] if attention.qkv.bias is not None else None
    if getattr(attention, "q_bias", None) is not None:
        bias = attention.k_bias
    return functional.linear(tokens_BND, attention.qkv.weight[middle], bias)
