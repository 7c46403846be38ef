"""The kinds of network that one stage trains and another runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from seedbed.networks.backbones import Backbone  # which imports this module

State = Mapping[str, Tensor]  # of a network: its state_dict


class ClassifierNetwork(nn.Module, ABC):
    """Scores of each class over the image, and one logit per class for the image."""

    backbone: Backbone  # its `mean` is what it subtracts from images

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Score maps (B, K, y, x), whose positive part is the class map, and logits (B, K); class c is at index c - 1."""

    def see(self, images_BCYX: Tensor, classes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """The same of images whose classes are known, of which most networks make no use."""
        maps_BKyx, logits_BK = self(images_BCYX)
        return maps_BKyx, logits_BK


class AttentiveNetwork(ClassifierNetwork):
    """A classifier that may be a transformer, whose attention says where classes are."""

    @abstractmethod
    def attend(self, images_BCYX: Tensor, *, class_layers: int, patch_layers: int) -> tuple[Tensor, Tensor]:
        """Class maps (B, K, y, x) from 0 to 1, and logits (B, K).

        class_layers, patch_layers: last blocks by whose attention maps are multiplied, and spread.
        """


class SegmentationNetwork(nn.Module, ABC):
    """Logits of background and all classes over the image."""

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x); background is at index 0."""


class PatchSegmenter(nn.Module, ABC):
    """Logits of background and all classes for every patch of an image, from the patches' vectors."""

    @abstractmethod
    def forward(self, patches_BDyx: Tensor) -> Tensor:
        """Logits (B, 1 + K, y, x); background is at index 0."""


class PairNetwork(nn.Module, ABC):
    """Features of the cells of an image: the more alike, the surer two cells are of one class."""

    stride: int  # pixels per cell
    radius: int  # cells nearer to each other than this are compared

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> Tensor:
        """Features (B, D, y, x)."""


class BoundaryNetwork(nn.Module, ABC):
    """Where something ends in an image, and where the middle of each thing is."""

    stride: int  # pixels per cell

    @abstractmethod
    def forward(self, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of boundaries (B, y, x), and displacement (B, 2, y, x): rows and columns to the middle of the cell's thing."""


@dataclass(frozen=True)
class Inherited:
    """What earlier stages have learned that a learner begins with, or is judged by."""

    states: Mapping[str, State] = field(default_factory=dict)  # tensors by name, by slot
    classifier: ClassifierNetwork | None = None  # which sees classes in images
