"""Learners, which are networks with their losses, and what trainings leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from seedbed.learning.batches import Movable
from seedbed.learning.optimisers import Scheduled
from seedbed.networks.weights import read_state

TOTAL = "loss"  # name of the sum of all terms in a log
N = TypeVar("N", bound=nn.Module)
B = TypeVar("B", bound=Movable)


class Learner(nn.Module, ABC, Generic[N, B]):
    """A network, its losses, and whatever these need: heads, a teacher, a memory bank, a `Frozen` network.

    State that later steps need must be a parameter, a persistent buffer of fixed shape, or the `state` of an optimiser: nothing else
    survives an interruption. Of all that, `network` alone is kept in the end; student or teacher, that is for the learner to say.
    """

    network: N

    @abstractmethod
    def forward(self, batch: B, progress: float) -> dict[str, Tensor]:
        """Terms of the loss by name. Their sum is minimised. Called once for each micro-batch.

        The terms of the first step are the columns of the log, so every step gives the same: 0 where one does not apply.

        progress: share of the training that is done.
        """

    @abstractmethod
    def optimizers(self) -> list[Scheduled]:
        """One or more optimisers, each with its schedule. Called once."""

    def after_step(self, progress: float) -> None:
        """Called once after each step of the optimisers, however many micro-batches there are.

        progress: share of the training that was done before the step.
        """

    def measure_batch(self) -> dict[str, Tensor]:
        """Figures for the log, beside the terms, of the micro-batch that `forward` was given last: the same names in every step."""
        return {}


class Frozen(nn.Module, Generic[N]):
    """A network within a learner that never changes: in evaluation mode, without gradients of its own, though they pass through it.

    It moves with the learner, but is not registered as one of its modules. So no optimiser, running mean, checkpoint or artifact has its
    weights. A training that resumes builds it anew.
    """

    def __init__(self, network: N) -> None:
        """network: with its weights. It is frozen in place."""
        super().__init__()
        self._held = (network.requires_grad_(False).eval(),)  # in a tuple, because a module that is an attribute is registered

    @property
    def network(self) -> N:
        """The network itself."""
        return self._held[0]

    def forward(self, *inputs: Any) -> Any:
        """What the network answers."""
        return self.network(*inputs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Change all tensors, which is how torch brings modules to a device or into another layout."""
        network: Any = self.network  # torch has no types for this
        network._apply(fn, recurse)
        return self


@dataclass(frozen=True)
class Trained(Generic[N]):
    """The result of a training."""

    network: N
    log: Mapping[str, Sequence[float]]  # figures of every step by name, `loss` first

    @property
    def losses(self) -> Sequence[float]:
        """The loss of every step."""
        return self.log[TOTAL]

    @property
    def weights(self) -> Iterable[tuple[str, npt.NDArray[Any]]]:
        """The network's state, by name of its entries."""
        return read_state(self.network)


@dataclass(frozen=True)
class Solved:
    """The result of what is solved without steps."""

    state: Mapping[str, npt.NDArray[np.float32]]
    log: Mapping[str, Sequence[float]]  # figures of everything that was tried, by name, `loss` first

    @property
    def weights(self) -> Iterable[tuple[str, npt.NDArray[Any]]]:
        """The solution, by name of its entries."""
        return self.state.items()


def collect_columns(found: Trained[N] | Solved) -> dict[str, Any]:
    """What an artifact has of a training."""
    return {"log": np.stack(list(found.log.values()), axis=1), "figures": list(found.log), "weights": found.weights}
