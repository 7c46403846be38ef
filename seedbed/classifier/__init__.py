"""Classifiers, which say which classes an image contains, learned from image-level labels alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch

from seedbed import methods
from seedbed.learning.contract import AugmentedMethod
from seedbed.learning.footprint import estimate_memory
from seedbed.methods import parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.run.slots import Slot


@parameters
class Settings:
    """What holds for every classifier."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # per-pixel inputs of the loss, by array: the artifact that each is read from, none where it is unused
    features: Annotated[str, Slot(("features",), "the selected method learns from features")]  # instead of images


class Method(methods.Method):
    """How it is learned which classes an image contains."""

    needs_features: ClassVar[bool] = False  # else it learns from images

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        """Maps that it learns from with these parameters."""
        return ()

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features",)


class NetworkMethod(AugmentedMethod, Method):
    """A network that sees images."""

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
