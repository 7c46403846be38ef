"""Evaluation: which labels to hold against the truth. Counting is in `seedbed/scoring/metrics.py` and `seedbed/scoring/boundaries.py`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import methods
from seedbed.methods import parameters
from seedbed.scoring.boundaries import Boundaries
from seedbed.types import ClassMaps, Image, LabelMap, Probabilities, Size

KINDS = ("class_maps", "seeds", "masks", "predictions", "predictions_crf")  # of labels, in the order of the report
CONFUSED = ("masks", "predictions")  # of which a confusion matrix and the worst images are drawn


@parameters
class Settings:
    """What holds for every evaluation."""

    split: str  # images whose class maps, seeds, masks and superpixels are judged; predictions are judged where they were made
    pictures: Annotated[int, Field(ge=1, le=1000)]  # images that are drawn in each overview, and of each gallery of errors


@parameters
class Sweep:
    """Thresholds of class maps of which the best is told: by an oracle, since it is found with the truth at hand."""

    count: Annotated[int, Field(ge=1, le=10_000)]  # thresholds, from 0 on
    step: Annotated[float, Field(gt=0, le=1)]  # from one to the next

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """All of them, ascending."""
        return self.step * np.arange(self.count, dtype=np.float64)


class Method(methods.Method):
    """What is made of scores before it is judged, and how."""

    threshold: float  # of class maps, declared beforehand: where no map exceeds it is background
    sweep: Sweep
    boundaries: Boundaries

    def extents(self, size: Size) -> dict[str, int]:
        """Lengths of the dimensions that the data set does not fix.

        size: of the largest image.
        """
        return {"kind": len(KINDS), "threshold": self.sweep.count}

    @abstractmethod
    def from_class_maps(self, class_maps: ClassMaps) -> LabelMap:
        """Labels of class maps at the declared threshold. Maps have the image's size."""

    @abstractmethod
    def from_probabilities(self, image: Image, probabilities: Probabilities) -> dict[str, LabelMap]:
        """Labels of a prediction, by name of what was done to it. Maps have the image's size."""
