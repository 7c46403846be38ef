"""Optimisers and their schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from seedbed.learning.training import Training
from seedbed.methods import parameters

FIRST_FACTOR = 1e-3  # a learning rate that rises does not begin at nothing


def _constant(progress: float) -> float:  # noqa: ARG001 (it is a schedule)
    return 1.0


@dataclass(frozen=True)
class Scheduled:
    """An optimiser, and factors of its numbers by the share of the training that is done."""

    optimizer: torch.optim.Optimizer
    rate: Callable[[float], float]  # factor of its learning rates
    decay: Callable[[float], float] = _constant  # factor of its weight decay

    def set(self, progress: float, highest: Sequence[Mapping[str, float]]) -> None:
        """Make ready for a step.

        highest: what the optimiser began with, by group.
        """
        for group, most in zip(self.optimizer.param_groups, highest, strict=True):
            group["lr"] = most["lr"] * self.rate(progress)
            if "weight_decay" in most:
                group["weight_decay"] = most["weight_decay"] * self.decay(progress)


@parameters
class Descent:
    """Stochastic gradient descent with a polynomial schedule."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # of the backbone, at its highest
    new_layer_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of layers without initial weights, relative to the backbone's
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the last step that is kept
    weight_decay: Annotated[float, Field(ge=0, le=1000)]  # pull of all weights towards zero
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    power: Annotated[float, Field(ge=0, le=100)]  # of the polynomial by which the learning rate falls
    falls: Literal["throughout", "after_warmup"]  # whether it falls from the beginning, so also while it rises, or once it has risen

    def schedule(self, backbone: nn.Module, *new: nn.Module) -> Scheduled:
        """The optimiser of a backbone and of the layers that are new."""
        groups = [
            {"params": learned_parameters(backbone), "lr": self.learning_rate},
            {"params": [one for module in new for one in learned_parameters(module)], "lr": self.learning_rate * self.new_layer_factor},
        ]
        optimizer = torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        risen = max(FIRST_FACTOR, progress / self.warmup) if progress < self.warmup else 1.0
        begin = self.warmup if self.falls == "after_warmup" else 0.0
        fallen = max(0.0, progress - begin) / (1 - begin)
        return float(risen * (1 - fallen) ** self.power)


def learned_parameters(module: nn.Module) -> list[nn.Parameter]:
    return [one for one in module.parameters() if one.requires_grad]


def clip_gradients(learned: Sequence[nn.Parameter], training: Training) -> None:
    """Make gradients no longer than `clip`. In place."""
    for together in [[one] for one in learned] if training.clip_each else [learned]:
        nn.utils.clip_grad_norm_(together, training.clip)
