"""Evaluation: what to hold against the truth. Counting is in `seedbed/scoring/metrics.py` and `seedbed/scoring/boundaries.py`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot, list_holders
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.judgement import CLASS_MAPS, INSTANCES, PREDICTIONS, REFINED, SALIENCY, SUPERPIXELS
from seedbed.store.schemas import NONE
from seedbed.types import ClassMaps, Image, LabelMap, Probabilities, Size

Labels = Annotated[str, Slot(list_holders("labels"), optional=True)]
PREDICTED = (PREDICTIONS, REFINED)  # labels of a prediction


@parameters
class Settings:
    """What is judged. Whatever names an artifact may say none, and is then left out."""

    split: str  # images whose class maps, labels, superpixels, things and saliency are judged; predictions are judged where they were made
    class_maps: Annotated[str, Slot(("cams",), optional=True)]  # artifact whose class maps are judged
    labels: Mapping[str, Labels]  # artifacts whose labels are judged, by what they are called in figures and charts
    superpixels: Annotated[str, Slot(("superpixels",), optional=True)]  # artifact whose regions are judged
    instances: Annotated[str, Slot(("instances",), optional=True)]  # artifact whose things are judged
    saliency: Annotated[str, Slot(("saliency",), optional=True)]  # artifact whose objects are judged
    predictions: Annotated[str, Slot(("predictions",), optional=True)]  # artifact whose probabilities are judged
    pictures: Annotated[int, Field(ge=1, le=1000)]  # images that are drawn in each overview, and of each gallery of errors

    @property
    def slots(self) -> dict[str, str]:
        """Artifacts that are judged, by slot, but those of labels."""
        slots = {CLASS_MAPS: self.class_maps, SUPERPIXELS: self.superpixels, INSTANCES: self.instances, SALIENCY: self.saliency}
        return {**slots, PREDICTIONS: self.predictions}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of labels that are judged, in the order of the report."""
        artifacts = {CLASS_MAPS: self.class_maps, **self.labels, **dict.fromkeys(PREDICTED, self.predictions)}
        return tuple(kind for kind, artifact in artifacts.items() if artifact != NONE)

    @property
    def needs_training_images(self) -> bool:
        """Whether anything but predictions is judged."""
        return {self.class_maps, self.superpixels, self.instances, self.saliency, *self.labels.values()} != {NONE}

    @property
    def charted(self) -> tuple[str, ...]:
        """Kinds of labels with a confusion matrix and a gallery of errors, in files that DVC expects even where they are not judged."""
        return (*self.labels, PREDICTIONS)

    @property
    def extents(self) -> dict[str, int]:
        """Lengths of the dimensions that follow from what is judged."""
        return {"kind": len(self.kinds), "other_kind": len(self.kinds)}


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
    size_bounds: tuple[float, ...]  # shares of the image that part one size of things from the next, ascending

    def extents(self, size: Size) -> dict[str, int]:
        """Lengths of the dimensions that the data set does not fix.

        size: of the largest image.
        """
        return {"threshold": self.sweep.count, "thing_size": len(self.size_bounds) + 1, "size_bound": len(self.size_bounds)}

    @abstractmethod
    def from_class_maps(self, class_maps: ClassMaps) -> LabelMap:
        """Labels of class maps at the declared threshold. Maps have the image's size."""

    @abstractmethod
    def from_probabilities(
        self, images: Sequence[Image], probabilities: Sequence[Probabilities], *, device: str = "cpu"
    ) -> list[dict[str, LabelMap]]:
        """Labels of each prediction, by their kind: all of `PREDICTED`. Maps have the image's size.

        The result for an image does not depend on the others.
        """
