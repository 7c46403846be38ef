"""Refinement: from class maps to a label for every pixel, to train a segmenter on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
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
    def refine(self, images: Sequence[Image], class_maps: Sequence[ClassMaps], *, device: str = "cpu") -> list[PseudoMask]:
        """For each image, labels of its classes and background, or 255, with their confidence. Maps have the image's size.

        The result for an image does not depend on the others.
        """
