"""What every method that trains a network promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from seedbed import methods
from seedbed.learning.augmentation import Augmentation, Sample
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import SAVES_MEMORY
from seedbed.learning.learner import Learner, Solved
from seedbed.learning.training import S, Sampling, Training
from seedbed.networks.contracts import Inherited


class TrainableMethod(methods.Method, Generic[S]):
    """What is learned from samples, and how.

    A family may have methods beside it that train nothing: those are no `TrainableMethod`, and their artifact is empty.
    """

    saves_memory: ClassVar[str] = SAVES_MEMORY

    training: Training

    @property
    @abstractmethod
    def sampling(self) -> Sampling[S, Any, Any]:
        """Which views of a sample are learned from, and how they become a batch."""

    @abstractmethod
    def learner(self, num_classes: int, *, given: Inherited) -> Learner[Any, Any]:
        """What is trained, with its initial weights; its `network` is what is kept.

        num_classes: without background; 0 where samples say nothing of classes.
        given: what earlier stages have learned; nothing where the parameters want nothing.
        """


class SolvedMethod(methods.Method, Generic[S]):
    """What is solved from samples at once, without steps that could be interrupted."""

    @abstractmethod
    def solve(self, num_classes: int, samples: Sequence[S]) -> Solved:
        """The solution for all samples.

        num_classes: without background.
        """


class LabelledMethod(TrainableMethod[S]):
    """Learns from labels of images, and from maps of them where it wants any."""

    maps: ClassVar[tuple[str, ...]]  # maps that it can learn from, by the name of their array

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        """Maps that it learns from with these parameters."""
        return self.maps


class AugmentedMethod(LabelledMethod[Sample]):
    """Learns from random views of images, with their maps cut and turned alike."""

    augmentation: Augmentation

    @property
    def sampling(self) -> Sampling[Sample, Any, Any]:
        """One view of each image, unless a method has its own."""
        return Sampling(self.training, self.augmentation.view, Batch.of)
