"""Optimisers and their schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from seedbed.learning.training import Training
from seedbed.methods import parameters

FIRST_FACTOR = 1e-3  # of the learning rate, at the first step of a warm-up
SQUARES_KEPT = 0.999  # share of Adam's mean squared gradient that a step keeps
DecayStarts = Literal["at_once", "after_warmup"]


def _constant(progress: float) -> float:  # noqa: ARG001 (it is a schedule)
    return 1.0


@dataclass(frozen=True)
class Scheduled:
    """An optimiser with its schedule: factors by the share of the training that is done."""

    optimizer: torch.optim.Optimizer
    rate: Callable[[float], float]  # of its learning rates
    decay: Callable[[float], float] = _constant  # of its weight decay

    def set_rates(self, progress: float, initial: Sequence[Mapping[str, float]]) -> None:
        """Set learning rates and weight decay for a step.

        initial: options of the optimiser before the first step, by group.
        """
        for group, options in zip(self.optimizer.param_groups, initial, strict=True):
            group["lr"] = options["lr"] * self.rate(progress)
            if "weight_decay" in options:
                group["weight_decay"] = options["weight_decay"] * self.decay(progress)


@parameters
class Descent:
    """Stochastic gradient descent with momentum, a linear warm-up and polynomial decay of the learning rate."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # of the backbone, at the peak
    new_layer_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of new layers, relative to the backbone's
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the last update that is kept
    weight_decay: Annotated[float, Field(ge=0, le=1000)]  # of all weights
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    power: Annotated[float, Field(ge=0, le=100)]  # exponent of the polynomial decay
    decay_starts: DecayStarts  # at_once: the learning rate decays during the warm-up too

    def schedule(self, backbone: nn.Module, *new: nn.Module) -> Scheduled:
        """The optimiser of a backbone and of new layers."""
        added = [weight for module in new for weight in learned_parameters(module)]
        groups = [
            {"params": learned_parameters(backbone), "lr": self.learning_rate},
            {"params": added, "lr": self.learning_rate * self.new_layer_factor},
        ]
        optimizer = torch.optim.SGD(groups, momentum=self.momentum, weight_decay=self.weight_decay)
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        return _rise_and_decay(progress, self.warmup, self.power, self.decay_starts)


@parameters
class HeadDescent:
    """The same for a network that is all new, and has one learning rate."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # at the peak
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the last update that is kept
    weight_decay: Annotated[float, Field(ge=0, le=1000)]  # of all weights
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    power: Annotated[float, Field(ge=0, le=100)]  # exponent of the polynomial decay
    decay_starts: DecayStarts  # at_once: the learning rate decays during the warm-up too

    def schedule(self, head: nn.Module) -> Scheduled:
        """The optimiser of the network."""
        learned = learned_parameters(head)
        optimizer = torch.optim.SGD(learned, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        return _rise_and_decay(progress, self.warmup, self.power, self.decay_starts)


@parameters
class AdaptiveDescent:
    """Adam for a network that is all new, with polynomial decay of the learning rate."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # at the beginning
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the mean gradient that a step keeps
    power: Annotated[float, Field(ge=0, le=100)]  # exponent of the polynomial decay

    def schedule(self, network: nn.Module) -> Scheduled:
        """The optimiser of the network."""
        optimizer = torch.optim.Adam(learned_parameters(network), lr=self.learning_rate, betas=(self.momentum, SQUARES_KEPT))
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        return float((1 - progress) ** self.power)


@parameters
class Optimiser:
    """One of three optimisers, whose learning rate rises linearly and decays either of two ways; biases may have a rule of their own."""

    kind: Literal["sgd", "adam", "adamw"]  # gradient descent with momentum, Adam, whose weight decay is part of the gradient, or AdamW
    learning_rate: Annotated[float, Field(gt=0, le=1000)]  # of the backbone, at the peak
    new_layer_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of new layers, relative to the backbone's
    bias_factor: Annotated[float, Field(gt=0, le=1000)]  # learning rate of biases, relative to that of other weights
    momentum: Annotated[float, Field(ge=0, lt=1)]  # sgd: share of the last update that is kept; else of the mean gradient
    weight_decay: Annotated[float, Field(ge=0, le=1000)]  # of the weights that decayed names
    decayed: Literal["all", "matrices"]  # weights that decay; matrices: none that are biases, or of norms
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    decay: Literal["polynomial", "cosine"]  # of the learning rate
    power: Annotated[float, Field(ge=0, le=100)]  # exponent of the decay, of a cosine too
    last_learning_rate: Annotated[float, Field(ge=0, le=1000)]  # of the backbone, at the end
    decay_starts: DecayStarts  # at_once: the learning rate decays during the warm-up too

    @model_validator(mode="after")
    def _check_last(self) -> Self:
        if self.last_learning_rate > self.learning_rate:
            raise ValueError(f"a last_learning_rate no higher than learning_rate, which is {self.learning_rate}")
        return self

    @property
    def moments(self) -> int:
        """Numbers that it keeps for each weight."""
        return 1 if self.kind == "sgd" else 2

    def schedule(self, backbone: nn.Module, *new: nn.Module) -> Scheduled:
        """The optimiser of a backbone and of new layers."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for module, factor in ((backbone, 1.0), *((one, self.new_layer_factor) for one in new)):
            for name, weight in module.named_parameters():
                if weight.requires_grad:
                    rate = self.learning_rate * factor * (self.bias_factor if name.endswith("bias") else 1.0)
                    matrix = name.endswith("weight") and weight.ndim > 1
                    decay = self.weight_decay if matrix or self.decayed == "all" else 0.0
                    groups.setdefault((rate, decay), []).append(weight)
        options = [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()]
        if self.kind == "sgd":
            return Scheduled(torch.optim.SGD(options, momentum=self.momentum), self.factor)
        kind = torch.optim.Adam if self.kind == "adam" else torch.optim.AdamW
        return Scheduled(kind(options, betas=(self.momentum, SQUARES_KEPT)), self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        rise, done = _rise(progress, self.warmup), _measure_decay(progress, self.warmup, self.decay_starts)
        last = self.last_learning_rate / self.learning_rate
        left = 1 - done if self.decay == "polynomial" else 0.5 * (1 + math.cos(math.pi * done))
        return float(rise * (last + (1 - last) * left**self.power))


def _rise_and_decay(progress: float, warmup: float, power: float, decay_starts: DecayStarts) -> float:
    """A linear rise, then polynomial decay."""
    return float(_rise(progress, warmup) * (1 - _measure_decay(progress, warmup, decay_starts)) ** power)


def _rise(progress: float, warmup: float) -> float:
    """Factor of the learning rate while it rises."""
    return max(FIRST_FACTOR, progress / warmup) if progress < warmup else 1.0


def _measure_decay(progress: float, warmup: float, decay_starts: DecayStarts) -> float:
    """Share of the decay of the learning rate that is done."""
    begin = warmup if decay_starts == "after_warmup" else 0.0
    return max(0.0, progress - begin) / (1 - begin)


def learned_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Parameters that have a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def clip_gradients(learned: Sequence[nn.Parameter], training: Training) -> None:
    """Scale gradients down to the norm `clip`, each by itself or all together. In place."""
    for group in [[parameter] for parameter in learned] if training.clip_each else [learned]:
        nn.utils.clip_grad_norm_(group, training.clip)
