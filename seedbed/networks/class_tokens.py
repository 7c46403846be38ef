"""Transformers with a token for each class, and what the attention of a transformer says of where classes are.

Paper: Xu et al., "Multi-class Token Transformer for Weakly Supervised Semantic Segmentation", CVPR 2022.

Shapes: B images, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seedbed.errors import ParamsError
from seedbed.networks.transformer import compute_attention


def check_attention(trunk: Any, *, asked_by: str) -> None:
    """Refuse a network that has no class token, or whose attention cannot be read.

    asked_by: the parameter that asks for it.
    """
    kinds = {type(getattr(block, "attn", None)).__name__ for block in getattr(trunk, "blocks", [])}
    if kinds != {"Attention"} or trunk.cls_token is None:
        raise ParamsError(
            f"params.yaml: {asked_by}",
            found="a network without a class token and plain attention",
            expected="a plain vision transformer of timm, such as deit_small_patch16_224",
            do="choose one, or switch it off",
        )


def add_class_tokens(trunk: Any, num_classes: int) -> None:
    """Give a transformer a token for each class in place of its only one, all with its values. In place."""
    with torch.no_grad():
        trunk.cls_token = nn.Parameter(trunk.cls_token.repeat(1, num_classes, 1))
        if not trunk.no_embed_class:
            first, others = trunk.pos_embed[:, :1], trunk.pos_embed[:, 1:]
            trunk.pos_embed = nn.Parameter(torch.cat([first.repeat(1, num_classes, 1), others], dim=1))
    trunk.num_prefix_tokens += num_classes - 1


@contextmanager
def sum_attention(trunk: Any, *counts: int) -> Iterator[list[Any]]:
    """Sums of the attention (B, N, N) of the last blocks of a transformer when it runs, for each number of blocks; 0 for none."""
    sums: list[Any] = [0 for _ in counts]

    def add(attention: Any, inputs: tuple[Tensor, ...], *, from_end: int) -> None:
        found_BNN = compute_attention(attention, inputs[0])
        for place, count in enumerate(counts):
            if from_end < count:
                sums[place] = sums[place] + found_BNN

    last = list(trunk.blocks)[::-1][: max(counts)]
    hooks = [block.attn.register_forward_pre_hook(partial(add, from_end=number)) for number, block in enumerate(last)]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()
