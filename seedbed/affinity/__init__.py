"""Affinity: networks that say which neighbouring cells of an image belong together, learned from labels that earlier stages are sure of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import CLASSIFIER, Slot
from seedbed.types import Size, cells

if TYPE_CHECKING:
    from seedbed.networks.backbones import Trunk  # with torch, for which nobody pays where nothing is learned


@parameters
class Settings:
    """What holds for every affinity."""

    split: str  # images to learn from
    maps: Mapping[str, str]  # per-pixel inputs of the loss, by array: the artifact that each is read from, none where it is unused
    start: Annotated[str, Slot((CLASSIFIER,), f"initial_weights.source is {CLASSIFIER}")]  # whose trunk it starts from


class Method(methods.Method):
    """How it is learned what belongs together: an `AugmentedMethod` with a `network`, or a method that learns nothing."""

    stride: int  # pixels per cell

    @property
    def wanted_maps(self) -> tuple[str, ...]:
        """Maps that it learns from with these parameters."""
        return ()

    @property
    def trunk(self) -> Trunk | None:
        """The part of its network that may start from a classifier's, if there is one."""
        return None

    @property
    def unread(self) -> tuple[str, ...]:
        return ("start",)

    def extents(self, max_size: Size) -> dict[str, int]:
        """Lengths of the dimensions of what its network says of an image.

        max_size: of images.
        """
        map_y, map_x = cells(max_size, self.stride)
        return {"map_y": map_y, "map_x": map_x, "pair": self.num_pairs}

    @property
    def num_pairs(self) -> int:
        """Pairs of each cell that its network compares; 0 where it says something else."""
        return 0
