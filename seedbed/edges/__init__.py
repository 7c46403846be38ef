"""Edges: what links neighbouring cells of each image, and what parts them, as a network sees it that has learned affinities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import CellEdges, Image

NOTHING = {"map_y": 1, "map_x": 1, "pair": 0}  # lengths of dimensions where there are no edges


@parameters
class Settings:
    """What finds edges, beside images."""

    affinity: Annotated[str, Slot(("affinity",), "the selected method runs its network")]  # which has learned to


class Method(methods.Method):
    """From a network to what links the cells of an image. It has the name of the method of `affinity` that trained the network."""

    @property
    def unread(self) -> tuple[str, ...]:
        return ("affinity",) if self.makes_nothing else ()

    @abstractmethod
    def find(self, network: Any, images: Sequence[Image], *, device: str) -> list[CellEdges]:
        """Edges of every image.

        The result for an image does not depend on the others in the batch.

        network: on the device, in evaluation mode.
        """
