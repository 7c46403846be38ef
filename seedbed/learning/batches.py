"""Batches: the views of images, or of their patches, that one forward pass learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seedbed.learning.augmentation import Sample
from seedbed.learning.samples import Described
from seedbed.types import cells


class Movable(Protocol):
    """A batch that can be moved to a device."""

    def to(self, device: torch.device) -> Self:
        """The same batch on a device, ready for a network."""


@dataclass  # not frozen, because Fabric sets the fields of a copy where precision is mixed
class Batch:
    """Views of some images."""

    images_BCYX: Tensor  # RGB in [0, 1]
    labels_BK: Tensor  # 0 or 1; background at index 0
    maps_BYX: Mapping[str, Tensor]  # int64, by name

    @classmethod
    def of(cls, views: Sequence[Sample]) -> Batch:
        """A batch of views, in their own types: the fewer bytes, the sooner they are on a GPU.

        The layout in memory is channels last, which is that of images and fastest on a GPU.
        """
        return cls(
            images_BCYX=torch.from_numpy(np.stack([view.image for view in views])).permute(0, 3, 1, 2),
            labels_BK=torch.from_numpy(np.stack([view.labels for view in views])),
            maps_BYX={name: torch.from_numpy(np.stack([view.maps[name] for view in views])) for name in views[0].maps},
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device, in the types that networks and losses take."""
        return Batch(
            images_BCYX=self.images_BCYX.to(device).float() / 255,
            labels_BK=self.labels_BK.to(device).float(),
            maps_BYX={name: pixels.to(device).long() for name, pixels in self.maps_BYX.items()},
        )


@dataclass  # not frozen, as above
class PatchView:
    """The patches of one image, and its maps on a grid of cells."""

    vectors: npt.NDArray[np.float32]  # (D, y, x); no tensor, as the next two, so that no lower precision rounds it before the network does
    rows: npt.NDArray[np.float32]  # (Y, y): what each row of cells takes of rows of patches
    columns: npt.NDArray[np.float32]  # (X, x): the same for columns
    labels_1K: Tensor  # 0 or 1; background at index 0
    maps_1YX: Mapping[str, Tensor]  # int64, by name

    @classmethod
    def of(cls, sample: Described, stride: int) -> PatchView:
        """The view of a sample.

        stride: pixels per cell.
        """
        height, width = next(iter(sample.maps.values())).shape
        grid = cells((height, width), stride)
        rows, columns = sample.patches.interpolation((height, width), grid)
        maps = {name: cv2.resize(one, grid[::-1], interpolation=cv2.INTER_NEAREST_EXACT) for name, one in sample.maps.items()}
        return cls(
            vectors=np.moveaxis(sample.patches.values, -1, 0),
            rows=rows,
            columns=columns,
            labels_1K=torch.from_numpy(sample.labels)[None],
            maps_1YX={name: torch.from_numpy(one)[None] for name, one in maps.items()},
        )

    def to(self, device: torch.device) -> PatchView:
        """The same view on a device, in the types that networks and losses take."""
        return PatchView(
            vectors=self.vectors,
            rows=self.rows,
            columns=self.columns,
            labels_1K=self.labels_1K.to(device).float(),
            maps_1YX={name: one.to(device).long() for name, one in self.maps_1YX.items()},
        )


@dataclass  # not frozen, as above
class PatchBatch:
    """Images of different sizes, described by their patches."""

    views: Sequence[PatchView]

    def to(self, device: torch.device) -> PatchBatch:
        """The same batch on a device."""
        return PatchBatch([view.to(device) for view in self.views])
