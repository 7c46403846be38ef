"""Nothing is learned: features come from a network that somebody else has trained, or from none.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence

from seedbed import pretraining
from seedbed.learning.checkpoints import Checkpoints
from seedbed.methods import method
from seedbed.run.machine import Machine
from seedbed.types import Image


@method
class Nothing(pretraining.Method):
    def learn(self, images: Sequence[Image], *, machine: Machine, checkpoints: Checkpoints) -> None:
        return None
