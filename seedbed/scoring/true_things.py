"""True things of an image, as whoever judges is given them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.types import Size

Shape = npt.NDArray[np.bool_]  # (y, x)


@dataclass(frozen=True)
class TrueThing:
    """A thing, or a crowd of things of a class."""

    shape: Shape
    label: int
    crowd: bool = False


@dataclass(frozen=True)
class TrueThings:
    """True things of an image, which may overlap."""

    things: tuple[TrueThing, ...]
    void: Shape

    def shrink(self, size: Size) -> TrueThings:
        """The same of a smaller image; without things of which no pixel is left."""
        shrunk = (TrueThing(_shrink(one.shape, size), one.label, one.crowd) for one in self.things)
        return TrueThings(tuple(one for one in shrunk if one.shape.any()), _shrink(self.void, size))


def _shrink(shape: Shape, size: Size) -> Shape:
    return np.asarray(cv2.resize(shape.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0)
