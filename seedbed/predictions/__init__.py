"""Predictions: the trained segmenter's probabilities for images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Image, PatchFeatures, Probabilities, Size, cells

LABELS_FEATURES = "the selected method labels features"


@parameters
class Settings:
    """Settings for every method."""

    split: str  # whose images are predicted
    segmenter: Annotated[str, Slot(("segmenter",))]  # which predicts them
    features: Annotated[str, Slot(("features",), LABELS_FEATURES)]  # that the segmenter learned from
    views: Annotated[Mapping[str, str], Slot(("features",), LABELS_FEATURES)]  # the same of the images resized or mirrored, by any name


class Method(methods.Method):
    """From a trained segmenter to probabilities."""

    needs_features: ClassVar[bool] = False  # then the segmenter is a `PatchSegmenter`; else a network that sees images
    stride: int  # pixels per cell of the maps

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features", "views")

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @abstractmethod
    def predict(
        self, network: Any, images: Sequence[Image], patches: Sequence[Sequence[PatchFeatures]], *, device: str
    ) -> list[Probabilities]:
        """For every image, probabilities of background and all classes at one cell per `stride` pixels.

        The result for an image does not depend on the others in the batch.

        network: on the device, in evaluation mode.
        patches: features of every image, by each kind; none where the method needs none.
        """
