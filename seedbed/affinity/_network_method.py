"""What every method of `affinity` that trains a network has in common. The contract is apart, because this imports torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from pydantic import model_validator
from torch import nn

from seedbed import affinity
from seedbed.learning.contract import AugmentedMethod
from seedbed.learning.footprint import estimate_memory
from seedbed.learning.pair_labels import check_views
from seedbed.networks.backbones import Trunk
from seedbed.run.slots import CLASSIFIER


class NetworkMethod(AugmentedMethod, affinity.Method):
    """A network that learns from pairs of labelled cells."""

    maps: ClassVar[tuple[str, ...]] = ("labels",)

    backbone: Trunk
    radius: int  # cells nearer to each other than this are compared

    @model_validator(mode="after")
    def _check_views(self) -> Self:
        check_views(self.augmentation.crop, self.stride, self.radius)
        return self

    @property
    def trunk(self) -> Trunk:
        return self.backbone

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.backbone.initial_weights.source == CLASSIFIER else ("start",)

    def check(self) -> None:
        self.backbone.check("affinity")

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network()
        return estimate_memory(network, self.training, [self.augmentation.crop])

    @abstractmethod
    def network(self) -> nn.Module:
        """What is kept of the training, and what the method of `edges` with the same name runs."""
