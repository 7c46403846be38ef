"""Suppression of what tells most, so that a classifier must look at more than that.

Paper: Kim et al., "Discriminative Region Suppression for Weakly-Supervised Semantic Segmentation", AAAI 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seedbed.errors import ParamsError
from seedbed.networks.repaired import timm


def suppress(features_BDyx: Tensor, share: float) -> Tensor:
    """Features of which none is higher than a share of the highest of its channel in its image."""
    return torch.minimum(features_BDyx, share * features_BDyx.amax(dim=(2, 3), keepdim=True))


class Suppression(nn.Module):
    """An activation: what is positive, suppressed."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, features_BDyx: Tensor) -> Tensor:
        """Activated features."""
        return suppress(features_BDyx.relu(), self.share)


def suppress_last_stage(trunk: Any, share: float, *, asked_by: str) -> None:
    """Let a ResNet of timm suppress features behind every block of its last stage. In place.

    asked_by: the parameter that asks for it.
    """
    if not isinstance(trunk, timm.models.ResNet):
        raise ParamsError(
            f"params.yaml: {asked_by}",
            found="a network that is no ResNet of timm, whose blocks alone are known",
            expected="one such as resnet50",
            do="choose one, or another method",
        )
    blocks: Any = trunk.layer4
    for block in blocks:
        setattr(block, "act3" if hasattr(block, "act3") else "act2", Suppression(share))


@contextmanager
def suppress_behind(trunk: Any, stage: int, share: float) -> Iterator[None]:
    """While it holds, a ResNet of timm suppresses features behind a stage, too.

    stage: 1 to 4; 0: behind none.
    """
    if not stage:
        yield
        return
    hook = getattr(trunk, f"layer{stage}").register_forward_hook(lambda _, __, features: suppress(features, share))
    try:
        yield
    finally:
        hook.remove()
