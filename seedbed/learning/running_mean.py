"""Running means of networks: of a training's weights, and of a student, whose teacher one is."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


def start_mean(network: N) -> N:
    """A copy of a network that follows it, and learns nothing itself."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, *, keep: float) -> None:
    """Move a running mean towards a network: weights and buffers, of which whole numbers are copied. In place.

    keep: share of the old mean that stays.
    """
    for old, new in zip(_list_tensors(mean), _list_tensors(network), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


def _list_tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
