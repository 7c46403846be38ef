"""Segmenters: the network that is wanted in the end, learned from labels that this pipeline made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch

from seedbed import methods
from seedbed.learning.augmentation import Augmentation
from seedbed.learning.batches import Batch
from seedbed.learning.footprint import FLOAT, SAVES_MEMORY, estimate_memory
from seedbed.learning.learner import Learner
from seedbed.learning.training import Training
from seedbed.methods import parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import SegmentationNetwork, State


@parameters
class Settings:
    """What holds for every segmenter."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # for each map that the method learns along: the artifact that it is read from
    start: Literal["dataset", "classifier"]  # classifier where the method's initial weights are the classifier's; else dataset


class Method(methods.Method):
    """A network, and how it learns."""

    saves_memory: ClassVar[str] = SAVES_MEMORY

    maps: ClassVar[tuple[str, ...]]  # maps of the image that can be learned along, by the name of their array
    backbone: Trunk
    scales: tuple[float, ...]  # sizes of the input that are learned from
    augmentation: Augmentation
    training: Training

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        """Maps that are learned along with these parameters."""
        return self.maps

    def check(self) -> None:
        self.backbone.check("segmenter")

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        crop, training = self.augmentation.crop, self.training
        answers = len(self.scales) * extents["class"] * FLOAT * crop**2 * (training.batch_size // training.parts)  # at the labels' size
        return answers + estimate_memory(network, training, [round(crop * scale) for scale in self.scales])

    @abstractmethod
    def network(self, num_classes: int) -> SegmentationNetwork:
        """What is kept after training and what `predictions` runs.

        num_classes: without background.
        """

    @abstractmethod
    def learner(self, num_classes: int, *, start: State) -> Learner[SegmentationNetwork, Batch]:
        """What is trained: a fresh network, with its initial weights and its losses. Batches have the maps that the method wants.

        start: state of the backbone's network of timm, where an earlier stage has trained it; else empty.
        """
