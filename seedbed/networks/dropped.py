"""Networks some of whose features are left out at random, for another view of the same image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

Dropped = Literal["channels", "values"]


@contextmanager
def drop_features(trunk: Any, share: Tensor | float, *, what: Dropped) -> Iterator[None]:
    """Let a network of timm leave out features behind every stage, or behind every block of a transformer; others grow to make up for it.

    share: of features, a probability; what: whole channels of an image, or single values.
    """

    def drop(_: Any, __: Any, features: Tensor, *, channels: int) -> Tensor:
        axis = 1 if features.shape[1] == channels else features.ndim - 1  # maps have channels first, tokens last
        shape = [length if place in (0, axis) or what == "values" else 1 for place, length in enumerate(features.shape)]
        kept = torch.rand(shape, device=features.device) >= share
        return features * kept / (1 - share)

    hooks = [
        trunk.get_submodule(stage["module"]).register_forward_hook(partial(drop, channels=int(stage["num_chs"])))
        for stage in trunk.feature_info
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
