"""No features: for superpixels that look at the image alone. The artifact is empty and takes no time.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seedbed import features
from seedbed.methods import method
from seedbed.types import Alignment, Image, PatchFeatures, Size


@method
class Nothing(features.Method):
    makes_nothing: ClassVar[bool] = True
    alignment: ClassVar[Alignment] = Alignment.PADDED
    patch_size = 1

    @property
    def num_channels(self) -> int:
        return 1

    def extents(self, max_size: Size) -> dict[str, int]:
        return {"patch_y": 1, "patch_x": 1, "channel": self.num_channels}  # of an image, of which there is none

    def describe(self, images: Sequence[Image], network: Any = None, *, device: str = "cpu") -> list[PatchFeatures]:
        return []
