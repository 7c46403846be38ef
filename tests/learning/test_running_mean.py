"""Running means of networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seedbed.learning.running_mean import follow, start_mean


class Net(nn.Module):
    """One weight, and buffers of both kinds."""

    weight: torch.Tensor
    mean: torch.Tensor
    count: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))
        self.register_buffer("mean", torch.tensor([10 * value]))
        self.register_buffer("count", torch.tensor(int(value)))


def test_it_starts_as_a_copy_that_learns_nothing() -> None:
    network = Net(3.0)
    mean = start_mean(network)
    network.weight.data += 1
    assert mean.weight.item() == 3 and not mean.weight.requires_grad and network.weight.requires_grad


@pytest.mark.parametrize(("keep", "weight", "average"), [(0.75, 2.0, 20.0), (1.0, 1.0, 10.0), (0.0, 5.0, 50.0)])
def test_a_step_by_hand(keep: float, weight: float, average: float) -> None:
    mean, network = start_mean(Net(1.0)), Net(5.0)
    follow(mean, network, keep=keep)
    assert (mean.weight.item(), mean.mean.item(), mean.count.item()) == (weight, average, 5)
    assert network.weight.item() == 5


def test_many_steps() -> None:
    mean, network = start_mean(Net(0.0)), Net(1.0)
    for _ in range(10):
        follow(mean, network, keep=0.9)
    assert mean.weight.item() == pytest.approx(1 - 0.9**10)
