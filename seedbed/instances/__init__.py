"""Instances: things of each image told apart, where class maps and masks show only what is of a class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Evidence, Instances

NOTHING = {"instance": 0}  # lengths of dimensions where there are no things


@parameters
class Settings:
    """What things are found in."""

    class_maps: Annotated[str, Slot(("cams",), "the selected method parts them")]  # that show where each class is
    superpixels: Annotated[str, Slot(("superpixels",), "the selected method walks between them")]  # of which things are made up
    edges: Annotated[str, Slot(("edges",), "the selected method follows their displacement")]  # found by the method's namesake


class Method(methods.Method):
    """From class maps, and what links the cells of an image, to things."""

    @property
    def unread(self) -> tuple[str, ...]:
        return ()

    @property
    def extents(self) -> dict[str, int]:
        """Lengths of dimensions that the method fixes."""
        return dict(NOTHING)

    @abstractmethod
    def part(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[Instances]:
        """Things of the classes of each image, the surest first.

        The result for an image does not depend on the others. Images themselves are left out.
        """
