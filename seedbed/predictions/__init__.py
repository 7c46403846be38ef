"""Predictions: what the trained segmenter says of images, as probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from seedbed import methods
from seedbed.methods import parameters
from seedbed.networks.contracts import SegmentationNetwork
from seedbed.types import Image, Probabilities, Size, cells


@parameters
class Settings:
    """What holds for every way of predicting."""

    split: str  # images to predict


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

        Each is the same whatever other images stand beside it.

        network: on the device, in evaluation mode.
        """
