"""Clickers: networks that are shown an image and clicks on it, and learn from images alone what these select."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from seedbed.learning.contract import TrainableMethod
from seedbed.learning.tree_samples import TreeSample
from seedbed.methods import parameters
from seedbed.networks.click_network import ClickNetwork
from seedbed.run.slots import Slot


@parameters
class Settings:
    """What holds for every clicker."""

    split: str  # images to learn from; empty takes all, whether anything is known of them or not
    trees: Annotated[str, Slot(("trees",))]  # of which regions are taken for what somebody wants to select


class Method(TrainableMethod[TreeSample]):
    """A network that answers clicks, and how it learns to."""

    patch_size: int  # by which the sides of an image that it is shown can be divided

    @abstractmethod
    def network(self) -> ClickNetwork:
        """What is kept of the training, and what `clicks` asks."""
