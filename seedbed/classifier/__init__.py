"""Classifiers: which classes are in the image. Learned from image-level labels alone."""

from __future__ import annotations

from abc import abstractmethod

from seedbed import methods
from seedbed.augmentation import Augmentation
from seedbed.methods import parameters
from seedbed.networks import ClassifierNetwork
from seedbed.training import Learner, Training


@parameters
class Settings:
    """What holds for every classifier."""

    split: str  # images to learn from


class Method(methods.Method):
    """A network, and how it learns."""

    augmentation: Augmentation
    training: Training

    @abstractmethod
    def network(self, num_classes: int) -> ClassifierNetwork:
        """What is kept after training and what `cams` runs.

        num_classes: without background.
        """

    @abstractmethod
    def learner(self, network: ClassifierNetwork) -> Learner[ClassifierNetwork]:
        """What is trained: the network with its losses."""
