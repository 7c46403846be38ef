"""Class maps: where in the image the classifier sees each class that the image is known to contain."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from seedbed import methods
from seedbed.networks import ClassifierNetwork
from seedbed.types import ClassMaps, Image, Size, cells


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
        self, network: ClassifierNetwork, image: Image, classes: tuple[int, ...], *, device: str
    ) -> tuple[ClassMaps, npt.NDArray[np.float32]]:
        """Maps of the classes given, at one cell per `stride` pixels, and the probability of every class (background at 0 has none).

        network: on the device, in evaluation mode.
        """
