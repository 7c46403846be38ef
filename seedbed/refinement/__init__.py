"""Refinement: from class maps to a label for every pixel, to train a segmenter on."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import ClassMaps, Image, PseudoMask


@parameters
class Settings:
    """What masks are made from, beside images."""

    class_maps: Annotated[str, Slot(("cams",))]  # that are refined


class Method(methods.Method):
    """From class maps to a pseudo mask."""

    @abstractmethod
    def refine(self, image: Image, class_maps: ClassMaps, *, device: str = "cpu") -> PseudoMask:
        """Labels of the image's classes and background, or 255, with their confidence. Maps have the image's size."""
