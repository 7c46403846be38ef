"""Batches: the views that one forward pass learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from seedbed.learning.augmentation import Sample


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
