"""Predictions: the trained segmenter's probabilities for images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Image, PatchFeatures, Probabilities, Size, cells


@parameters
class Settings:
    """Settings for every method."""

    split: str  # whose images are predicted
    segmenter: Annotated[str, Slot(("segmenter",))]  # which predicts them
    features: Annotated[str, Slot(("features",), "the selected method labels features")]  # that the segmenter learned from


class Method(methods.Method):
    """From a trained segmenter to probabilities."""

    needs_features: ClassVar[bool] = False  # then the segmenter is a `PatchSegmenter`; else a network that sees images
    stride: int  # pixels per cell of the maps

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features",)

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @abstractmethod
    def predict(self, network: Any, images: Sequence[Image], patches: Sequence[PatchFeatures], *, device: str) -> list[Probabilities]:
        """For every image, probabilities of background and all classes at one cell per `stride` pixels.

        The result for an image does not depend on the others in the batch.

        network: on the device, in evaluation mode.
        patches: features of every image, without channels where the method needs none.
        """
