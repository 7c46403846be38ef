"""Running a network on one image at several scales, with its mirror image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from seedbed.types import Image, Size


def summed(
    run: Callable[[Tensor], Tensor], image: Image, *, scales: Sequence[float], flip: bool, size: Size, device: str
) -> npt.NDArray[np.float32]:
    """Sum of a network's maps over scaled and mirrored views, each brought to one size.

    run: from images (B, C, Y, X) in [0, 1] to maps (B, channel, y, x).
    """
    total: Tensor | None = None
    for scale in scales:
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        view_CYX = torch.from_numpy(scaled).to(device).permute(2, 0, 1).float() / 255
        views_BCYX = torch.stack([view_CYX, view_CYX.flip(-1)]) if flip else view_CYX[None]
        maps = functional.interpolate(run(views_BCYX).float(), size=size, mode="bilinear", align_corners=False)
        both = maps[0] + maps[1].flip(-1) if flip else maps[0]
        total = both if total is None else total + both
    assert total is not None, "there is at least one scale"
    return total.cpu().numpy()
