"""Segmenters: the network that is wanted in the end, learned from labels that this pipeline made."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from seedbed import methods
from seedbed.augmentation import Augmentation
from seedbed.methods import parameters
from seedbed.networks import SegmentationNetwork
from seedbed.training import Learner, Training


@parameters
class Settings:
    """What holds for every segmenter."""

    split: str  # images to learn from
    labels: Literal["refinement", "seeds"]  # artifact whose labels are learned


class Method(methods.Method):
    """A network, and how it learns."""

    augmentation: Augmentation
    training: Training

    @abstractmethod
    def network(self, num_classes: int) -> SegmentationNetwork:
        """What is kept after training and what `predictions` runs.

        num_classes: without background.
        """

    @abstractmethod
    def learner(self, network: SegmentationNetwork) -> Learner[SegmentationNetwork]:
        """What is trained: the network with its losses. Batches have one map, `labels`."""
