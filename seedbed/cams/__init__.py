"""Class maps: where in the image the classifier sees each class that the image is known to contain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import ClassMaps, Image, PatchFeatures, Size, cells

SCORES_FEATURES = "the selected method scores features"
SMALLEST_MAXIMUM = 1e-5  # a class map with a lower maximum is only noise and is not scaled to 1


@parameters
class Settings:
    """What class maps are computed with, beside images."""

    classifier: Annotated[str, Slot(("classifier",))]  # which sees the classes
    features: Annotated[str, Slot(("features",), SCORES_FEATURES)]  # that the classifier learned from
    views: Annotated[Mapping[str, str], Slot(("features",), SCORES_FEATURES)]  # the same of the images resized or mirrored, by any name


class Method(methods.Method):
    """From a classifier to maps."""

    needs_features: ClassVar[bool] = False  # then the classifier is a `LinearHead` on features; else a network that sees images
    stride: int  # pixels per cell of the maps

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features", "views")

    @staticmethod
    def scale(classes: tuple[int, ...], maps: npt.NDArray[np.float32]) -> ClassMaps:
        """Maps of an image's classes, each divided by its maximum; none is negative."""
        return ClassMaps(classes=classes, maps=maps / maps.max(axis=(1, 2), keepdims=True, initial=SMALLEST_MAXIMUM))

    @abstractmethod
    def compute(
        self,
        classifier: Any,
        images: Sequence[Image],
        patches: Sequence[Sequence[PatchFeatures]],
        classes: Sequence[tuple[int, ...]],
        *,
        device: str,
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        """For every image, maps of its classes at one cell per `stride` pixels, and the probability of every class (0 for background).

        The result for an image does not depend on the others in the batch.

        classifier: what sees the classes; a network is on the device, in evaluation mode.
        patches: features of every image, by each kind; none where the method needs none.
        classes: of every image.
        """
