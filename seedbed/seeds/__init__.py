"""Seeds: labels for the few pixels that are certain."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Evidence, LabelMap


@parameters
class Settings:
    """What seeds are made from."""

    class_maps: Annotated[str, Slot(("cams",))]  # in which classes are seen
    superpixels: Annotated[str, Slot(("superpixels",), "the selected method needs regions")]  # which are labelled as a whole
    features: Annotated[str, Slot(("features",), "the selected method compares regions")]  # by which regions resemble each other
    corrections: str  # file of what a person has corrected, which `seedbed click` writes; data/none.zarr where there is none


class Method(methods.Method):
    """From class maps to partial labels."""

    needs_regions: ClassVar[bool] = True  # else it gets each image as one region
    sees_images: ClassVar[bool] = False  # else it gets no pixels

    @property
    def unread(self) -> tuple[str, ...]:
        return ("features",) if self.needs_regions else ("superpixels", "features")

    @abstractmethod
    def label(self, known: Evidence, *, device: str = "cpu") -> LabelMap:
        """Labels of the image's classes and background; 255 where nothing is certain."""

    def explain(self, known: Evidence) -> list[str]:
        """Why each region became what it is, in words, in the order of their numbers; empty where regions play no part."""
        return []
