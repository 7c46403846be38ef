"""Means over groups."""

from __future__ import annotations

import torch

from seedbed.algorithms.group_means import average_groups


def test_a_known_answer() -> None:
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [6.0, 30.0], [-3.0, 5.0]])
    means = average_groups(values, torch.tensor([2, 0, 2, 3]), 5)
    assert means.tolist() == [[2.0, 20.0], [0.0, 0.0], [3.5, 20.0], [-3.0, 5.0], [0.0, 0.0]]
