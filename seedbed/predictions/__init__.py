"""Predictions: the trained segmenter's probabilities for images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

from seedbed import methods
from seedbed.methods import parameters
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.run.slots import Slot
from seedbed.types import Image, Probabilities, Size, cells


@parameters
class Settings:
    """Settings for every method."""

    split: str  # whose images are predicted
    segmenter: Annotated[str, Slot(("segmenter",))]  # which predicts them


class Method(methods.Method):
    """From a trained segmenter to probabilities."""

    stride: int  # pixels per cell of the maps

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @abstractmethod
    def predict(self, network: SegmentationNetwork, images: Sequence[Image], *, device: str) -> list[Probabilities]:
        """For every image, probabilities of background and all classes at one cell per `stride` pixels.

        The result for an image does not depend on the others in the batch.

        network: on the device, in evaluation mode.
        """
