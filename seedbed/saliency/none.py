"""Saliency is not looked for. The artifact is empty and takes no time.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seedbed import saliency
from seedbed.methods import method
from seedbed.types import Evidence, Saliency


@method
class Nothing(saliency.Method):
    makes_nothing: ClassVar[bool] = True

    @property
    def unread(self) -> tuple[str, ...]:
        return ("class_maps", "superpixels", "features")

    def find(self, known: Evidence, detected: npt.NDArray[np.float32]) -> Saliency:
        return Saliency.empty(known.size)
