"""Clicks: what is selected in an image by a few of them, held against true things."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seedbed import methods
from seedbed.algorithms.clicks import Answer, ClickTree, Mask
from seedbed.methods import parameters
from seedbed.run.slots import PathSlot, Slot
from seedbed.types import Image


@parameters
class Settings:
    """What is clicked on."""

    split: str  # images on whose things it is
    trees: Annotated[str, Slot(("trees",), "the selected method selects regions of trees")]  # which clicks select
    clicker: Annotated[str, Slot(("clicker",), "the selected method asks a network")]  # which has learned to answer clicks
    most: Annotated[int, Field(ge=1, le=200)]  # paper: 20; clicks on each thing
    depth: Annotated[float, Field(ge=0, le=1)]  # paper: 1; share of the greatest depth of an error that a click exceeds; 1: in its middle
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # of where clicks are that are not in the middle
    wanted: Literal["things", "classes"]  # true things, or all of a class in an image at once, for which masks of classes will do
    things: Annotated[int, Field(ge=1, le=250)]  # of each image, the largest; smaller ones are not clicked on
    start: Annotated[str, PathSlot(("labels", "probabilities"))]  # labels that clicks correct; data/none.zarr where they begin with nothing

    @property
    def extents(self) -> dict[str, int]:
        """Lengths of the dimensions that these fix."""
        return {"instance": self.things, "click": self.most}


@dataclass(frozen=True)
class Seen:
    """What is known of an image that is clicked on."""

    image: Image
    regions: ClickTree  # of one region, where the method needs a network
    network: Any = None  # a `ClickNetwork` on its device, in evaluation mode, where the method needs one
    device: str = "cpu"


class Method(methods.Method):
    """What somebody wants who clicks."""

    needs_network: ClassVar[bool] = False  # else it selects regions of trees

    @property
    def unread(self) -> tuple[str, ...]:
        return ("trees",) if self.needs_network else ("clicker",)

    def check_network(self, stage: str, learned: Any) -> None:
        """Refuse a network that it cannot ask.

        stage: for what it says; learned: the method that trained the network.
        """

    @abstractmethod
    def begin(self, seen: Seen, start: Mask) -> Answer:
        """What answers clicks on one thing of an image, one after the other.

        start: what they correct; where that is nothing, the first click is on what is wanted.
        """
