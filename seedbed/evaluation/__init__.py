"""Evaluation: which labels to hold against the truth. The counting itself is in `seedbed/metrics.py`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from seedbed import methods
from seedbed.methods import parameters
from seedbed.types import ClassMaps, Image, LabelMap, Probabilities


@parameters
class Settings:
    """What holds for every evaluation."""

    split: str  # images whose class maps, seeds, masks and superpixels are judged; predictions are judged where they were made
    pictures: Annotated[int, Field(ge=1)]  # images that are drawn in each overview


class Method(methods.Method):
    """What is made of scores before it is judged."""

    @abstractmethod
    def from_class_maps(self, class_maps: ClassMaps) -> LabelMap:
        """Labels of class maps as they are. Maps have the image's size."""

    @abstractmethod
    def from_probabilities(self, image: Image, probabilities: Probabilities) -> dict[str, LabelMap]:
        """Labels of a prediction, by name of what was done to it. Maps have the image's size."""
