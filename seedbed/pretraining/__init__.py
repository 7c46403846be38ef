"""Pretraining: a vision transformer that learns from the user's own images, without any label, what belongs together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import nn

from seedbed import methods
from seedbed.learning.checkpoints import Checkpoints
from seedbed.learning.learner import Trained
from seedbed.methods import parameters
from seedbed.run.machine import Machine
from seedbed.types import Image


@parameters
class Settings:
    """What holds for every pretraining."""

    split: str  # images to learn from; empty takes all, whether anything is known of them or not


class Method(methods.Method):
    """How a network of timm learns from images alone, if it does."""

    @abstractmethod
    def learn(self, images: Sequence[Image], *, machine: Machine, checkpoints: Checkpoints) -> Trained[nn.Module] | None:
        """A network of timm that has learned from images of any sizes, which are read one at a time; None where nothing is learned."""
