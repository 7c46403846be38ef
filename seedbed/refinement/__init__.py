"""Refinement: from class maps to a label for every pixel, to train a segmenter on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import ClassMaps, Image, PatchFeatures, PseudoMask, RegionMap


@parameters
class Settings:
    """What masks are made from, beside images."""

    class_maps: Annotated[str, Slot(("cams",))]  # that are refined
    superpixels: Annotated[str, Slot(("superpixels",), "the selected method needs regions")]  # which get one label each
    features: Annotated[str, Slot(("features",), "the selected method compares regions")]  # by which regions resemble each other


@dataclass(frozen=True)
class Evidence:
    """What is known of an image."""

    image: Image
    class_maps: ClassMaps  # of the image's size
    regions: RegionMap  # all of the image is one where the method needs none
    patches: PatchFeatures  # without channels where the method compares none


class Method(methods.Method):
    """From class maps to a pseudo mask."""

    @property
    def unread(self) -> tuple[str, ...]:
        return ("superpixels", "features")

    @abstractmethod
    def refine(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[PseudoMask]:
        """For each image, labels of its classes and background, or 255, with their confidence.

        The result for an image does not depend on the others.
        """
