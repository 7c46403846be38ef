"""Trained networks where they are used: loaded once per process, run on one image at several scales with its mirror image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.artifacts import Artifact
from seedbed.methods import Method
from seedbed.types import Image, Size
from seedbed.weights import restored

N = TypeVar("N", bound=nn.Module)
_LOADED: dict[tuple[str, str], Any] = {}  # by artifact and device


@dataclass(frozen=True)
class TrainedNetwork(Generic[N]):
    """A network that a stage trained. It travels as the name of its artifact and is loaded where it is needed."""

    method: Method  # that trained it, with the parameters that it had
    num_classes: int
    artifact: Artifact
    device: str

    def key(self, image: str) -> str:
        """Identity of its weights, the same for all images."""
        return f"{self.num_classes} {self.artifact.weights_digest}"

    def loaded(self) -> N:
        """The network on its device, ready to be used."""
        place = (self.artifact.digest, self.device)
        if place not in _LOADED:
            builder: Any = self.method
            _LOADED.clear()  # one at a time
            _LOADED[place] = restored(builder.network(self.num_classes), self.artifact, device=self.device)
        network: N = _LOADED[place]
        return network


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
