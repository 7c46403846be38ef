"""Saliency: where in an image something is, whatever it is, for a segmenter that is told no more about pixels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import methods
from seedbed.errors import ParamsError
from seedbed.methods import parameters
from seedbed.run.slots import NO_PATH, Slot
from seedbed.types import BACKGROUND, IGNORE, OBJECT, ClassMaps, Evidence, Saliency

Share = Annotated[float, Field(ge=0, le=1)]


@parameters
class Settings:
    """What saliency is found by."""

    folder: str  # of files, with a map for each image that is called like it; data/none.zarr where no files are read
    class_maps: Annotated[str, Slot(("cams",), "the selected method corrects what it finds by them")]  # that show where each class is
    superpixels: Annotated[str, Slot(("superpixels",), "the selected method compares regions")]  # that are things, or none
    features: Annotated[str, Slot(("features",), "the selected method compares regions by them")]  # of the images' patches


class Method(methods.Method):
    """From what is known of an image to the pixels where something is."""

    reads_files: ClassVar[bool] = False  # else nothing but artifacts

    @abstractmethod
    def find(self, known: Evidence, detected: npt.NDArray[np.float32]) -> Saliency:
        """Where in an image something is. Images themselves are left out.

        detected: what a detector has said of each pixel (y, x), in [0, 1]; all 0 if no files are read.
        """


@parameters
class Correction:
    """Corrects where something is by class maps: adds what they are sure of, and doubts what they do not see.

    Paper: Seoul National University dissertation of 2022, chapter 2.
    """

    adds_above: Share  # paper: tau_1; strongest relative class map above which background becomes object; 1: nowhere
    doubts_below: Share  # paper: tau_2; strongest relative class map below which object becomes unknown; 0: nowhere

    @property
    def reads_class_maps(self) -> bool:
        """Whether class maps can change anything."""
        return self.adds_above < 1 or self.doubts_below > 0

    def correct(self, objects: npt.NDArray[np.uint8], maps: ClassMaps) -> npt.NDArray[np.uint8]:
        """The corrected objects (y, x).

        maps: of the same size.
        """
        highest = maps.maps.max(axis=(1, 2), keepdims=True, initial=0)
        relative = np.divide(maps.maps, highest, out=np.zeros_like(maps.maps), where=highest > 0)
        strongest = relative.max(axis=0, initial=0)  # paper: B
        corrected = np.where((objects == BACKGROUND) & (strongest > self.adds_above), OBJECT, objects)
        return np.asarray(np.where((objects == OBJECT) & (strongest < self.doubts_below), IGNORE, corrected), np.uint8)


class DetectingMethod(Method):
    """Scores every pixel, cuts at a threshold, and corrects the result by class maps."""

    threshold: float
    correction: Correction

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.correction.reads_class_maps else ("class_maps",)

    def find(self, known: Evidence, detected: npt.NDArray[np.float32]) -> Saliency:
        scores = self.score(known, detected)
        objects = np.asarray(np.where(scores > self.threshold, OBJECT, BACKGROUND), np.uint8)
        return Saliency(scores, self.correction.correct(objects, known.maps) if self.correction.reads_class_maps else objects)

    @abstractmethod
    def score(self, known: Evidence, detected: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """How surely something is at each pixel (y, x), in [0, 1]."""


def check_folder(stage: str, folder: str, method: Method) -> None:
    """Refuse a folder that the method does not read, and none where it reads files."""
    if method.reads_files == (folder == NO_PATH):
        expected = "a folder of maps, one for each image" if method.reads_files else f"{NO_PATH}, because {method.name} reads no files"
        raise ParamsError(f"params.yaml: {stage}.folder", found=repr(folder), expected=expected, do="correct one of the two")
