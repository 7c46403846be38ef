"""What learns: a network with its losses, and what a training leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from seedbed.learning.batches import Movable
from seedbed.learning.optimisers import Scheduled
from seedbed.networks.weights import read_state

TOTAL = "loss"  # what the sum of all terms is called in a log
N = TypeVar("N", bound=nn.Module)
B = TypeVar("B", bound=Movable)


class Learner(nn.Module, ABC, Generic[N, B]):
    """A network with all that it learns by: losses, and whatever else they need - heads, a teacher, a memory.

    What steps change and later steps need is a parameter or a persistent buffer that keeps its shape, or the `state` of an
    optimiser: nothing else survives an interruption. Only `network` is kept in the end.
    """

    network: N

    @abstractmethod
    def forward(self, batch: B, progress: float) -> dict[str, Tensor]:
        """Terms of the loss, which are added up, by name: the same names in every step, 0 where a term does not apply.

        Called once for every part of a batch.

        progress: share of the training that is done.
        """

    @abstractmethod
    def optimizers(self) -> list[Scheduled]:
        """One or more optimisers, each with its schedule."""

    def after_step(self, progress: float) -> None:
        """Called after every step.

        progress: share of the training that was done before it.
        """

    def measure_part(self) -> dict[str, Tensor]:
        """Figures for the log, beside the terms, of the part that `forward` has just been given: the same names in every step."""
        return {}


@dataclass(frozen=True)
class Trained(Generic[N]):
    """What a training leaves."""

    network: N
    log: Mapping[str, Sequence[float]]  # figures of every step by name; `loss` is the first

    @property
    def losses(self) -> Sequence[float]:
        """Of every step."""
        return self.log[TOTAL]


def collect_columns(trained: Trained[N] | None) -> dict[str, Any]:
    """What of a training goes into an artifact; of none, that there was none."""
    if trained is None:
        return {"log": np.zeros((0, 0)), "figures": [], "weights": ()}
    return {"log": np.stack(list(trained.log.values()), axis=1), "figures": list(trained.log), "weights": read_state(trained.network)}
