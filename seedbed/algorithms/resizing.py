"""Resizes images in the ways that works of this field do."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from PIL import Image as PillowImage

from seedbed.types import Image, Size

Interpolation = Literal["bilinear", "antialiased_cubic"]


def resize(image: Image, size: Size, *, interpolation: Interpolation) -> Image:
    """Resize an image.

    interpolation: `bilinear` uses four pixels, so that fine structures alias when an image becomes much smaller; `antialiased_cubic` uses
    all pixels that the smaller one covers.
    """
    height, width = size
    if interpolation == "bilinear":
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BICUBIC), np.uint8)
