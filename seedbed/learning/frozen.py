"""Networks that a learner uses as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self

from torch import Tensor, nn

from seedbed.learning.learner import N


class Frozen(nn.Module, Generic[N]):
    """A network within a learner that never changes: in evaluation mode, without gradients of its own, though they pass through it.

    It moves with the learner, but is none of its modules. So no optimiser, running mean, checkpoint or artifact has its weights; a training
    that goes on makes it anew, as the learner did at first.
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
