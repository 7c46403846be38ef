"""Segmenters: networks that label every pixel, the end product, trained on labels that earlier stages made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch

from seedbed.learning.contract import AugmentedMethod, LabelledMethod
from seedbed.learning.footprint import FLOAT, estimate_memory
from seedbed.learning.training import S
from seedbed.methods import parameters
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.run.slots import CLASSIFIER, Slot

LEARNS_FROM_FEATURES = "the selected method learns from features"


@parameters
class Settings:
    """What holds for every segmenter."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # per-pixel inputs of the loss, by array: the artifact that each is read from, none where it is unused
    start: Annotated[str, Slot((CLASSIFIER,), f"initial_weights.source is {CLASSIFIER}")]  # whose trunk it starts from
    classifier: Annotated[str, Slot((CLASSIFIER,), "the selected method learns from what a classifier sees")]  # which stays as it is
    features: Annotated[str, Slot(("features",), LEARNS_FROM_FEATURES)]  # instead of images
    views: Annotated[Mapping[str, str], Slot(("features",), LEARNS_FROM_FEATURES)]  # more features of the images, by any name


class Method(LabelledMethod[S]):
    """What labels every pixel, and how it learns to."""

    needs_features: ClassVar[bool] = False  # else it learns from images

    @property
    def trunk(self) -> Trunk | None:
        """The part of its network that may start from a classifier's, if there is one."""
        return None


class NetworkMethod(AugmentedMethod, Method[Any]):
    """A network that sees images."""

    num_networks: ClassVar[int] = 1  # of the same shape, which learn side by side

    backbone: Trunk

    @property
    def factors(self) -> tuple[float, ...]:
        """Factors by which views are resized for the loss."""
        return (1.0,)

    @property
    def moments(self) -> int:
        """Numbers that the optimiser keeps for each weight."""
        return 1

    @property
    def trunk(self) -> Trunk:
        return self.backbone

    @property
    def reads_classifier(self) -> bool:
        """Whether a classifier, which stays as it is, judges what the network says."""
        return False

    @property
    def views_of_classifier(self) -> int:
        """Views that the classifier sees for each image."""
        return 0

    @property
    def unread(self) -> tuple[str, ...]:
        used = {"start": self.backbone.initial_weights.source == CLASSIFIER, "classifier": self.reads_classifier}
        return (*(slot for slot, read in used.items() if not read), "features", "views")

    def check(self) -> None:
        self.backbone.check("segmenter")

    def memory(self, extents: Mapping[str, int]) -> int:
        with torch.device("meta"):
            network = self.network(extents["class"] - 1)
        crop, images = self.augmentation.crop, self.training.batch_size // self.training.micro_batches
        answers = len(self.factors) * extents["class"] * FLOAT * crop**2 * images  # at the labels' size
        views = [round(crop * factor) for factor in self.factors] + [crop] * self.views_of_classifier  # its network taken to be as large
        return self.num_networks * (answers + estimate_memory(network, self.training, views, moments=self.moments))

    @abstractmethod
    def network(self, num_classes: int) -> SegmentationNetwork:
        """What is kept of the training, and what `predictions` runs.

        num_classes: without background.
        """


class MultiscaleMethod(NetworkMethod):
    """A network that learns from views at several sizes."""

    scales: tuple[float, ...]  # factors by which views are resized for the loss

    @property
    def factors(self) -> tuple[float, ...]:
        return self.scales
