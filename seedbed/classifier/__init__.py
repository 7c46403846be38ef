"""Classifiers: networks that say which classes an image contains, trained on image-level labels alone."""

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
    maps: Mapping[str, str]  # per-pixel inputs of the loss, by array: the artifact that each is read from, none where it is unused


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
        """What is kept of the training, and what `cams` runs.

        num_classes: without background.
        """
