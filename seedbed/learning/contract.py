"""What every method that learns from samples promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from seedbed import methods
from seedbed.learning.augmentation import Augmentation, Sample
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import SAVES_MEMORY
from seedbed.learning.learner import Learner
from seedbed.learning.training import Sampling, Training
from seedbed.networks.contracts import State


class TrainableMethod(methods.Method):
    """A network, and how it learns from images and whatever maps belong to them."""

    saves_memory: ClassVar[str] = SAVES_MEMORY

    maps: ClassVar[tuple[str, ...]]  # maps of the image that can be learned from, by the name of their array
    augmentation: Augmentation
    training: Training

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        """Maps that are learned from with these parameters."""
        return self.maps

    @property
    def sampling(self) -> Sampling[Sample, Any, Any]:
        """Which views of a sample are learned from, and how they stand side by side in a batch."""
        return Sampling(self.training, self.augmentation.view, Batch.of)

    @abstractmethod
    def network(self, num_classes: int) -> nn.Module:
        """What is kept after training.

        num_classes: without background.
        """

    @abstractmethod
    def learner(self, num_classes: int, *, given: Mapping[str, State]) -> Learner[Any, Any]:
        """What is trained: a fresh network, with its initial weights and its losses. Batches have the maps that the method wants.

        given: states of networks that earlier stages have trained, by slot; none where the parameters want none.
        """
