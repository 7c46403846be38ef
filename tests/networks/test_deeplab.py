"""DeepLab: what its branches begin with, and what becomes of them."""

from __future__ import annotations

import pytest
import torch

from seedbed.networks.backbones import Backbone
from seedbed.networks.deeplab import DeepLab


def test_branches_begin_small_and_without_bias_and_are_added() -> None:
    torch.manual_seed(0)
    network = DeepLab(Backbone("test_resnet", output_stride=16), 20, (2, 3)).eval()
    weights = torch.stack([branch.get_parameter("weight") for branch in network.branches])
    assert weights.shape[:2] == (2, 21)
    assert weights.std().item() == pytest.approx(0.01, rel=0.02) and abs(weights.mean().item()) < 2e-4
    assert not any(branch.get_parameter("bias").any() for branch in network.branches)
    images = torch.rand(2, 3, 48, 80)
    first, second = (branch(network.backbone(images)) for branch in network.branches)
    assert first.shape == (2, 21, 3, 5) and torch.equal(network(images), first + second)
