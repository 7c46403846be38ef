"""Class maps: where in the image the classifier sees each class that the image is known to contain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt

from seedbed import methods
from seedbed.methods import parameters
from seedbed.networks.contracts import ClassifierNetwork
from seedbed.run.slots import Slot
from seedbed.types import ClassMaps, Image, Size, cells


@parameters
class Settings:
    """What class maps are computed with, beside images."""

    classifier: Annotated[str, Slot(("classifier",))]  # which sees the classes


class Method(methods.Method):
    """From a trained classifier to maps."""

    stride: int  # pixels per cell of the maps

    def extents(self, max_size: Size) -> dict[str, int]:
        """Cells of the largest maps.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x}

    @abstractmethod
    def compute(
        self, network: ClassifierNetwork, images: Sequence[Image], classes: Sequence[tuple[int, ...]], *, device: str
    ) -> list[tuple[ClassMaps, npt.NDArray[np.float32]]]:
        """For every image, maps of its classes at one cell per `stride` pixels, and the probability of every class (0 for background).

        The result for an image does not depend on the others in the batch.

        classes: of every image.
        network: on the device, in evaluation mode.
        """
