"""Predictions: what the trained segmenter says of images, as probabilities."""

from __future__ import annotations

from abc import abstractmethod

from seedbed import methods
from seedbed.methods import parameters
from seedbed.networks import SegmentationNetwork
from seedbed.types import Image, Probabilities


@parameters
class Settings:
    """What holds for every way of predicting."""

    split: str  # images to predict


class Method(methods.Method):
    """From a trained segmenter to probabilities."""

    stride: int  # pixels per cell of the maps

    @abstractmethod
    def predict(self, network: SegmentationNetwork, image: Image, *, device: str) -> Probabilities:
        """Probabilities of background and all classes at one cell per `stride` pixels.

        network: on the device, in evaluation mode.
        """
