"""What a network answers to clicks on one thing, of which it looks more closely at where it has seen it.

Paper: Sofiiuk et al., "f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation", CVPR 2020, as used in Liu et al.,
"SimpleClick: Interactive Image Segmentation with Simple Vision Transformers", ICCV 2023.

Shapes: B images, C channels, N clicks of a kind, Y X pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from seedbed.algorithms.clicks import Click, Mask
from seedbed.methods import parameters
from seedbed.networks.click_network import ClickNetwork
from seedbed.networks.inference import stack_images
from seedbed.types import Image, Size

Share = Annotated[float, Field(ge=0, le=1)]


class Box(NamedTuple):
    """A rectangle of pixels, the last ones among them."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def around(cls, mask: Mask) -> Self:
        """The smallest that has all pixels of a mask, which has some."""
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        return cls(int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1]))

    @property
    def size(self) -> Size:
        """Rows and columns."""
        return self.bottom - self.top + 1, self.right - self.left + 1

    def widen(self, factor: float, least: int, within: Size) -> Box:
        """The same about its middle, but larger: by a factor, or of so many pixels along each side, as far as the image goes."""
        top, bottom = _widen(self.top, self.bottom, factor, least)
        left, right = _widen(self.left, self.right, factor, least)
        return Box(max(0, top), min(within[0] - 1, bottom), max(0, left), min(within[1] - 1, right))

    def holds(self, click: Click) -> bool:
        """Whether a click is inside, off the last row and column."""
        return self.top <= click.row < self.bottom and self.left <= click.column < self.right

    def compare(self, other: Box) -> float:
        """How alike two are: the intersection over union of their rows, times that of their columns."""
        return _overlap(self[:2], other[:2]) * _overlap(self[2:], other[2:])


def _widen(first: int, last: int, factor: float, least: int) -> tuple[int, int]:
    middle, half = 0.5 * (first + last), 0.5 * max(factor * (last - first + 1), least)
    return round(middle - half), round(middle + half)


def _overlap(one: Sequence[int], other: Sequence[int]) -> float:
    shared, whole = min(one[1], other[1]) - max(one[0], other[0]) + 1, max(one[1], other[1]) - min(one[0], other[0]) + 1
    return max(0, shared) / whole


@parameters
class Zoom:
    """What a network is shown of an image."""

    side: Annotated[int, Field(ge=1, le=20_000)]  # paper: 448, 672; pixels along each side of what it is shown, whatever its shape was
    widened: Annotated[float, Field(ge=1, le=100)]  # code: 1.4; by what the box around the last answer is larger than this, as a factor
    smallest: Annotated[int, Field(ge=1, le=20_000)]  # code: 200; edge that the box has at least, in pixels
    kept: Share  # code: 0.5; likeness of a new box and the last one from which on that is kept
    threshold: Share  # code: 0.5; probability above which a pixel is selected
    mirrored: bool  # code: true; whether it is shown the mirror image too, and answers with the mean of both


@dataclass
class ZoomedAnswer:
    """Answers to clicks on one thing, one after the other: an `Answer` that remembers the last."""

    network: ClickNetwork
    image: Image
    zoom: Zoom
    device: str
    box: Box | None = None  # what the network was shown last
    probabilities: npt.NDArray[np.float32] | None = None  # its last answer, or what clicks correct

    def __call__(self, clicks: Sequence[Click]) -> Mask:
        """The pixels that all clicks select."""
        size = (self.image.shape[0], self.image.shape[1])
        self.box = self._find_box(clicks, size)
        found = self._ask(clicks, self.box, size)
        self.probabilities = np.zeros(size, np.float32)
        self.probabilities[self.box.top : self.box.bottom + 1, self.box.left : self.box.right + 1] = found
        return np.asarray(self.probabilities > self.zoom.threshold)

    def _find_box(self, clicks: Sequence[Click], size: Size) -> Box:
        zoom, box = self.zoom, Box(0, size[0] - 1, 0, size[1] - 1)
        if self.probabilities is not None and (seen := self.probabilities > zoom.threshold).any():
            for one in clicks:
                seen[one.row, one.column] |= one.wanted
            box = Box.around(seen).widen(zoom.widened, zoom.smallest, size)
        keeps = self.box is not None and all(self.box.holds(one) for one in clicks if one.wanted) and box.compare(self.box) >= zoom.kept
        return self.box if self.box is not None and keeps else box

    @torch.inference_mode()
    def _ask(self, clicks: Sequence[Click], box: Box, size: Size) -> npt.NDArray[np.float32]:
        """What the network answers within a box."""
        last = np.zeros(size, np.float32) if self.probabilities is None else self.probabilities
        image_1CYX = stack_images([self.image], self.device)
        shown_1CYX = torch.cat([image_1CYX, torch.from_numpy(last).to(self.device)[None, None]], dim=1)
        shown_1CYX = shown_1CYX[..., box.top : box.bottom + 1, box.left : box.right + 1]
        shown_BCYX = functional.interpolate(shown_1CYX, size=(self.zoom.side, self.zoom.side), mode="bilinear", align_corners=True)
        clicks_B2N2 = self._place(clicks, box)
        if self.zoom.mirrored:
            shown_BCYX = torch.cat([shown_BCYX, shown_BCYX.flip(-1)])
            clicks_B2N2 = torch.cat([clicks_B2N2, self._mirror(clicks_B2N2)])
        logits_B1YX = self.network(shown_BCYX[:, :3], shown_BCYX[:, 3:], clicks_B2N2).float()
        if self.zoom.mirrored:
            logits_B1YX = (logits_B1YX[:1] + logits_B1YX[1:].flip(-1)) / 2
        found_1YX = functional.interpolate(logits_B1YX.sigmoid(), size=box.size, mode="bilinear", align_corners=True)[0]
        return np.asarray(found_1YX[0].cpu().numpy(), np.float32)

    def _place(self, clicks: Sequence[Click], box: Box) -> Tensor:
        """Where clicks are on what the network is shown."""
        kinds = [[one for one in clicks if one.wanted], [one for one in clicks if not one.wanted]]
        placed = torch.full((1, 2, max(map(len, kinds)), 2), -1.0)
        for kind, ones in enumerate(kinds):
            for number, one in enumerate(ones):
                row, column = ((place - first) / length for place, first, length in zip(one, box[::2], box.size, strict=False))
                placed[0, kind, number] = self.zoom.side * torch.tensor([row, column])
        return placed.to(self.device)

    def _mirror(self, clicks_B2N2: Tensor) -> Tensor:
        rows, columns = clicks_B2N2.unbind(dim=-1)
        there = clicks_B2N2.amax(dim=-1) >= 0
        return torch.stack([rows, torch.where(there, self.zoom.side - 1 - columns, columns)], dim=-1)
