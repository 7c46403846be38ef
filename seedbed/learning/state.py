"""State of a training: into a checkpoint and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.log import Log

LEARNER, AVERAGED, LOG = "learner.", "averaged.", "log."  # prefixes of entries of a checkpoint


@dataclass(frozen=True)
class TrainingState:
    """Everything that later steps need. Learning rates are not part of it: each step sets its own."""

    learner: nn.Module
    averaged: nn.Module | None  # running mean of what is kept
    optimizers: Sequence[torch.optim.Optimizer]

    def save(self, checkpoints: Checkpoints, *, identity: Mapping[str, Any], log: Log) -> None:
        """Write a checkpoint.

        identity: what tells the training from others.
        """
        values: dict[str, Any] = {f"{LEARNER}{name}": value for name, value in self.learner.state_dict().items()}
        if self.averaged is not None:
            values |= {f"{AVERAGED}{name}": value for name, value in self.averaged.state_dict().items()}
        for number, optimizer in enumerate(self.optimizers):
            for parameter, state in optimizer.state_dict()["state"].items():
                values |= {f"optimizer.{number}.{parameter}.{name}": value for name, value in state.items()}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        tensors |= {f"{LOG}{name}": torch.tensor(series, dtype=torch.float64) for name, series in log.figures.items()}
        others = {name: value for name, value in values.items() if name not in tensors}
        checkpoints.save(tensors, {"identity": identity, "others": others, "log": list(log.figures)})

    def resume(self, checkpoints: Checkpoints, *, identity: Mapping[str, Any], name: str) -> Log:
        """Restore everything from the checkpoint, if it is of this training. Returns the log of the steps that are done.

        identity: what tells the training from others.
        """
        found = checkpoints.load()
        if found is None:
            return Log(name, {})
        tensors, rest = found
        learner, averaged = _strip_prefix(tensors, LEARNER), _strip_prefix(tensors, AVERAGED)
        current = {} if self.averaged is None else self.averaged.state_dict()
        if rest["identity"] != identity or _shapes(learner) != _shapes(self.learner.state_dict()) or _shapes(averaged) != _shapes(current):
            print(f"{name}: the checkpoint is of another training, starting anew", file=sys.stderr, flush=True)
            return Log(name, {})
        self.learner.load_state_dict(learner)
        if self.averaged is not None:
            self.averaged.load_state_dict(averaged)
        states: list[dict[int, dict[str, Any]]] = [{} for _ in self.optimizers]
        for key, value in (tensors | rest["others"]).items():
            if key.startswith("optimizer."):
                _, number, parameter, entry = key.split(".", 3)
                states[int(number)].setdefault(int(parameter), {})[entry] = value
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return Log(name, {column: tensors[f"{LOG}{column}"].tolist() for column in rest["log"]})


def _strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
