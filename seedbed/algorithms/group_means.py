"""Means over groups of values, on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def average_groups(values_NK: Tensor, groups_N: Tensor, count: int) -> Tensor:
    """Mean of the values of each group (group, K); 0 for a group without any.

    groups_N: the group of each, below `count`.
    """
    sums_GK = values_NK.new_zeros(count, values_NK.shape[1])
    sums_GK.index_add_(0, groups_N, values_NK)
    return sums_GK / torch.bincount(groups_N, minlength=count).clamp(min=1)[:, None]
