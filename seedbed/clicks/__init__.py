"""Clicks: what is selected in an image by a few of them, held against true things."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from seedbed import methods
from seedbed.algorithms.clicks import Click, ClickTree, Mask
from seedbed.methods import parameters
from seedbed.run.slots import Slot


@parameters
class Settings:
    """What is clicked on."""

    split: str  # images on whose things it is
    trees: Annotated[str, Slot(("trees",))]  # regions that can be selected
    most: Annotated[int, Field(ge=1, le=200)]  # paper: 20; clicks on each thing
    things: Annotated[int, Field(ge=1, le=250)]  # of each image, the largest; smaller ones are not clicked on

    @property
    def extents(self) -> dict[str, int]:
        """Lengths of the dimensions that these fix."""
        return {"instance": self.things, "click": self.most}


class Method(methods.Method):
    """What somebody wants who clicks."""

    @abstractmethod
    def select(self, regions: ClickTree, given: Sequence[Click]) -> Mask:
        """The pixels that some clicks select, the first of which is on what is wanted."""
