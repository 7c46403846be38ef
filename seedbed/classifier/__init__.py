"""Classifiers: which classes are in the image. Learned from image-level labels alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from seedbed import methods
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import SAVES_MEMORY, estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.training import Training
from seedbed.methods import parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import ClassifierNetwork


@parameters
class Settings:
    """What holds for every classifier."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # for each map that the method learns along: the artifact that it is read from


class Method(methods.Method):
    """A network, and how it learns."""

    saves_memory: ClassVar[str] = SAVES_MEMORY

    maps: ClassVar[tuple[str, ...]]  # maps of the image that are learned along, by the name of their array
    backbone: Trunk
    augmentation: Augmentation
    training: Training

    def check(self) -> None:
        self.backbone.check("classifier")

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        return estimate_memory(network, self.training, [self.augmentation.crop])

    @abstractmethod
    def network(self, num_classes: int) -> ClassifierNetwork:
        """What is kept after training and what `cams` runs.

        num_classes: without background.
        """

    @abstractmethod
    def learner(self, num_classes: int) -> Learner[ClassifierNetwork, Batch]:
        """What is trained: a fresh network, with its initial weights and its losses. Batches have the maps that the method names."""
