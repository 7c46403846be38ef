"""Runs trained networks: loads them once per process, and applies them to images at several scales and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from seedbed.algorithms.resizing import Interpolation, resize
from seedbed.methods import Method
from seedbed.networks.weights import restore
from seedbed.store.artifact import Artifact
from seedbed.types import Image, Size

N = TypeVar("N", bound=nn.Module)
RGB_FLOATS = 3 * 4  # bytes
_LOADED: dict[tuple[str, tuple[int, ...], str], Any] = {}  # by artifact, sizes and device


@dataclass(frozen=True)
class TrainedNetwork(Generic[N]):
    """A network that a stage trained. Pickled, it is the name of its artifact; each process loads it when needed."""

    method: Method  # that trained it, with the parameters of that training
    sizes: tuple[int, ...]  # number of classes, and of channels where it sees features
    artifact: Artifact
    device: str

    def key(self, image_id: str) -> str:
        """Identity of its weights, the same for all images."""
        return " ".join([*map(str, self.sizes), self.artifact.weights_digest])

    def load(self) -> N:
        """The network on its device, in evaluation mode."""
        place = (self.artifact.digest, self.sizes, self.device)
        if place not in _LOADED:
            builder: Any = self.method
            _LOADED.clear()  # keep only one in memory
            _LOADED[place] = restore(builder.network(*self.sizes), self.artifact, device=self.device)
        network: N = _LOADED[place]
        return network


def group_by_size(images: Sequence[Image], *, device: str) -> list[list[int]]:
    """Positions of the images that form a batch: on a GPU those of one size; on a CPU single images, since batches change last digits."""
    if device == "cpu":
        return [[place] for place in range(len(images))]
    by_size: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(place)
    return list(by_size.values())


def stack_images(images: Sequence[Image], device: str) -> Tensor:
    """Images of one size as networks take them: (B, C, Y, X), RGB in [0, 1]."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255


def estimate_memory(extents: Mapping[str, int], *, scales: Sequence[float], flip: bool) -> int:
    """An estimate of the bytes that `combine_views` holds at once for an image of the largest size: its largest view, and a copy.

    extents: lengths of dimensions by name.
    """
    pixels = extents["y"] * extents["x"] * max(scales) ** 2
    return round(2 * RGB_FLOATS * pixels * (2 if flip else 1))


def combine_views(
    run: Callable[[Tensor], Tensor],
    images: Sequence[Image],
    *,
    scales: Sequence[float],
    flip: bool,
    size: Size,
    device: str,
    interpolation: Interpolation,
    by: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[npt.NDArray[np.float32]]:
    """Run a network on scaled and mirrored views of images, resize its maps to one size, and combine those of each image.

    run: from images (B, C, Y, X) in [0, 1] to maps (B, channel, y, x); mirror images are the second half.
    images: all of the same size.
    interpolation: how images are scaled.
    by: combines two maps, in any order: `torch.add` to their sum, `torch.maximum` to the larger value at every place.
    """
    total: Tensor | None = None
    for scale in scales:
        height, width = (max(1, round(length * scale)) for length in images[0].shape[:2])
        scaled = [resize(image, (height, width), interpolation=interpolation) for image in images]
        views_BCYX = stack_images(scaled, device)
        both_BCYX = torch.cat([views_BCYX, views_BCYX.flip(-1)]) if flip else views_BCYX
        maps = functional.interpolate(run(both_BCYX).float(), size=size, mode="bilinear", align_corners=False)
        both = by(maps[: len(images)], maps[len(images) :].flip(-1)) if flip else maps
        total = both if total is None else by(total, both)
    assert total is not None, "there is at least one scale"
    yield from total.cpu().numpy()
