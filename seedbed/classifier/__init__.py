"""Classifiers: which classes are in the image. Learned from image-level labels alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch

from seedbed.learning.contract import LabelledMethod
from seedbed.learning.footprint import estimate_memory
from seedbed.methods import parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import ClassifierNetwork


@parameters
class Settings:
    """What holds for every classifier."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # for each map that the method learns along: the artifact that it is read from, none where it is not read


class Method(LabelledMethod):
    """A network that says which classes an image contains."""

    backbone: Trunk

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
