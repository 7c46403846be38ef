"""Maps that a detector of salient things has left in files, one for each image, cut at a threshold and corrected by class maps.

The detector is somebody else's, and most have learned from masks of things, so what is trained on its maps has seen masks at second hand.

Paper: Seoul National University dissertation of 2022, chapter 2.

Differs from the paper: it does not say where maps are cut; the threshold is a parameter. Class maps are enlarged from the resolution at
which they are stored before they are compared.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import saliency
from seedbed.methods import method
from seedbed.saliency import Correction
from seedbed.types import Evidence


@method
class Files(saliency.DetectingMethod):
    reads_files: ClassVar[bool] = True

    threshold: Annotated[float, Field(ge=0, le=1)]  # inferred; maps above it are objects
    correction: Correction

    @property
    def unread(self) -> tuple[str, ...]:
        return (*super().unread, "superpixels", "features")

    def score(self, known: Evidence, detected: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return detected
