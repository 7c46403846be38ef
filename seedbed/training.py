"""The one training loop.

A stage gives it samples and something that learns; it knows neither classes nor losses. Every random choice is drawn from the
seed and the position in the training, so that it does not matter who computes it or when, and a training that was interrupted
goes on from its checkpoint to the same weights.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import lightning_fabric
import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from seedbed.augmentation import Sample
from seedbed.errors import TrainingError
from seedbed.methods import parameters
from seedbed.progress import Progress
from seedbed.weights import Checkpoints

N = TypeVar("N", bound=nn.Module)
S = TypeVar("S")
FIRST_FACTOR = 1e-3  # a learning rate that rises does not begin at nothing


@parameters
class Training:
    """How long a training lasts, and its chance."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of initial weights, order and views
    epochs: Annotated[float, Field(gt=0)]  # passes over the images
    batch_size: Annotated[int, Field(ge=1)]  # images per step


@dataclass(frozen=True)
class Scheduled:
    """An optimiser, and the factor of its learning rates by the share of the training that is done."""

    optimizer: torch.optim.Optimizer
    factor: Callable[[float], float]


@parameters
class Descent:
    """Stochastic gradient descent with a polynomial schedule."""

    learning_rate: Annotated[float, Field(gt=0)]  # of the backbone, at its highest
    new_layer_factor: Annotated[float, Field(gt=0)]  # learning rate of layers without initial weights, relative to the backbone's
    momentum: Annotated[float, Field(ge=0, lt=1)]  # share of the last step that is kept
    weight_decay: Annotated[float, Field(ge=0)]  # pull of all weights towards zero
    warmup: Annotated[float, Field(ge=0, lt=1)]  # share of the training in which the learning rate rises
    power: Annotated[float, Field(ge=0)]  # of the polynomial by which the learning rate falls

    def scheduled(self, backbone: nn.Module, *new: nn.Module) -> Scheduled:
        """The optimiser of a backbone and of the layers that are new."""
        groups = [
            {"params": list(backbone.parameters()), "lr": self.learning_rate},
            {"params": [one for module in new for one in module.parameters()], "lr": self.learning_rate * self.new_layer_factor},
        ]
        optimizer = torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        return Scheduled(optimizer, self.factor)

    def factor(self, progress: float) -> float:
        """Factor of the learning rate, by the share of the training that is done."""
        if progress < self.warmup:
            return max(FIRST_FACTOR, progress / self.warmup)
        return float((1 - (progress - self.warmup) / (1 - self.warmup)) ** self.power)


@dataclass(frozen=True)
class Batch:
    """Views of some images, side by side."""

    images_BCYX: Tensor  # RGB in [0, 1]
    labels_BK: Tensor  # 0 or 1; background at index 0
    maps_BYX: Mapping[str, Tensor]  # int64, by name

    @classmethod
    def of(cls, views: Sequence[Sample], device: torch.device) -> Batch:
        """Views as tensors."""
        images = np.stack([view.image for view in views])
        return cls(
            images_BCYX=torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255,
            labels_BK=torch.from_numpy(np.stack([view.labels for view in views])).to(device).float(),
            maps_BYX={name: torch.from_numpy(np.stack([view.maps[name] for view in views])).to(device).long() for name in views[0].maps},
        )


class Learner(nn.Module, ABC, Generic[N]):
    """A network with all that it learns by: losses, and whatever else they need - heads, a teacher, a memory.

    What steps change and later steps need is a parameter or a persistent buffer that keeps its shape, or the `state` of an
    optimiser: nothing else survives an interruption. Only `network` is kept in the end.
    """

    network: N

    @abstractmethod
    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Terms of the loss, which are added up. Called once per step.

        progress: share of the training that is done.
        """

    @abstractmethod
    def optimizers(self) -> list[Scheduled]:
        """One or more optimisers, each with its schedule."""


@dataclass(frozen=True)
class Trained(Generic[N]):
    """What a training leaves."""

    network: N
    losses: list[float]  # of every step


def fit(
    build: Callable[[], Learner[N]],
    samples: Sequence[S],
    *,
    training: Training,
    view: Callable[[S, np.random.Generator], Sample],
    device: str,
    name: str,
    checkpoints: Checkpoints,
) -> Trained[N]:
    """Train, from the beginning or from where this training was interrupted.

    build: makes the learner, once the random state is set.
    samples: read one at a time, as often as needed.
    view: what is learned from a sample this time.
    checkpoints: of this training and no other; to be removed once its result is safe.
    """
    torch.manual_seed(training.seed)
    fabric = lightning_fabric.Fabric(accelerator=device, devices=1)
    learner = build()
    learner.train()
    scheduled = learner.optimizers()
    module, *optimizers = fabric.setup(learner, *(one.optimizer for one in scheduled))
    highest = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    steps = max(1, round(training.epochs * len(samples) / training.batch_size))
    # The training that a checkpoint must be a part of.
    whole = {**dataclasses.asdict(training), "steps": steps, "images": len(samples), "optimizers": len(optimizers)}
    losses = _resumed(learner, optimizers, checkpoints=checkpoints, whole=whole, name=name)
    start = len(losses)
    with Progress(name, total=steps, unit="steps", done=start) as progress:
        for step, views in enumerate(_batches(samples, training=training, view=view, steps=range(start, steps)), start):
            torch.manual_seed(_drawn(training.seed, step))
            for one, optimizer, rates in zip(scheduled, optimizers, highest, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * one.factor(step / steps)
                optimizer.zero_grad(set_to_none=True)
            try:
                terms: dict[str, Tensor] = module(Batch.of(views, fabric.device), step / steps)
                total = torch.stack(list(terms.values())).sum()
                fabric.backward(total)
                for optimizer in optimizers:
                    optimizer.step()
                losses.append(float(total.detach()))
            except torch.OutOfMemoryError as error:
                # A smaller batch would fit, but is another training: that is for params.yaml to say.
                raise TrainingError(
                    f"{name}, step {step}",
                    found="a GPU without enough memory for a batch",
                    expected=f"room for {training.batch_size} images of a view's size",
                    do="lower its batch_size or crop in params.yaml, or use a larger GPU",
                ) from error
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"{name}, step {step}",
                    found=f"a loss of {losses[-1]}",
                    expected="a finite number",
                    do="lower its learning_rate in params.yaml",
                )
            progress.advance(note=f"loss {np.mean(losses[-20:]):.3f}")
            if checkpoints.due() and step + 1 < steps:
                _save(learner, optimizers, checkpoints=checkpoints, whole=whole, losses=losses)
    return Trained(network=learner.network.eval().cpu(), losses=losses)


def _batches(
    samples: Sequence[S], *, training: Training, view: Callable[[S, np.random.Generator], Sample], steps: range
) -> Iterator[list[Sample]]:
    """Views in batches, cut from an endless sequence of shuffled passes, so that no batch is ever smaller.

    steps: those whose batches are wanted; nothing is read for the ones before.
    """
    order: list[int] = []
    for step in steps:
        views = []
        for position in range(step * training.batch_size, (step + 1) * training.batch_size):
            turn = position % len(samples)
            if turn == 0 or not order:  # a pass begins, or the first batch that is wanted lies within one
                order = np.random.default_rng([training.seed, position - turn, 0]).permutation(len(samples)).tolist()
            views.append(view(samples[order[-1 - turn]], np.random.default_rng([training.seed, position, 1])))
        yield views


def _drawn(seed: int, step: int) -> int:
    """Seed of whatever torch draws in a step: known from the position alone, so that resuming needs no generator's state."""
    return int(np.random.default_rng([seed, step, 2]).integers(2**63))


def _save(
    learner: nn.Module, optimizers: list[torch.optim.Optimizer], *, checkpoints: Checkpoints, whole: dict[str, Any], losses: list[float]
) -> None:
    """Keep everything that later steps need. Learning rates are not among it: every step sets its own."""
    values: dict[str, Any] = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state_dict()["state"].items():
            values |= {f"optimizer.{number}.{parameter}.{name}": value for name, value in state.items()}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    others = {name: value for name, value in values.items() if name not in tensors}
    checkpoints.save(tensors, {"whole": whole, "others": others})


def _resumed(
    learner: nn.Module, optimizers: list[torch.optim.Optimizer], *, checkpoints: Checkpoints, whole: dict[str, Any], name: str
) -> list[float]:
    """Losses of the steps that need not be done again, after which learner and optimisers are as they were."""
    found = checkpoints.load()
    if found is None:
        return []
    tensors, rest = found
    kept = {name.removeprefix("learner."): tensor for name, tensor in tensors.items() if name.startswith("learner.")}
    if rest["whole"] != whole or _shapes(kept) != _shapes(learner.state_dict()):
        print(f"{name}: the checkpoint is of another training, starting anew", file=sys.stderr, flush=True)
        return []
    learner.load_state_dict(kept)
    states: list[dict[int, dict[str, Any]]] = [{} for _ in optimizers]
    for key, value in (tensors | rest["others"]).items():
        if key.startswith("optimizer."):
            _, number, parameter, entry = key.split(".", 3)
            states[int(number)].setdefault(int(parameter), {})[entry] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    losses: list[float] = tensors["losses"].tolist()
    return losses


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
