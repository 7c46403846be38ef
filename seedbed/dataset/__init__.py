"""Data sets: which images there are, what each contains, and to which splits it belongs.

A method of this family reads one layout of raw data. It may read files; it never reads a pixel label.
"""

from __future__ import annotations

import colorsys
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import methods
from seedbed.methods import parameters

Pixels = Annotated[int, Field(ge=16, le=20_000)]


@parameters
class Settings:
    """What holds for every reader."""

    root: str  # folder of the raw data, relative to the project; may be a symbolic link
    max_size: tuple[Pixels, Pixels]  # height, width; a larger image is refused
    allow_broken: Annotated[int, Field(ge=0)]  # so many image files may be unusable; they are listed in the artifact and left out


@dataclass(frozen=True)
class Entry:
    """One image of a data set."""

    id: str
    file: str  # relative to the root
    labels: frozenset[str]  # names of the classes that it contains
    splits: frozenset[str]


@dataclass(frozen=True)
class Index:
    """A data set as its reader found it."""

    class_names: tuple[str, ...]  # without background
    palette: tuple[tuple[int, int, int], ...]  # colour per class, without background
    entries: tuple[Entry, ...]  # in the order that every artifact keeps

    @cached_property
    def split_names(self) -> list[str]:
        """Every split that an image belongs to, in alphabetical order."""
        return sorted({split for entry in self.entries for split in entry.splits})

    def labels(self, entry: Entry) -> npt.NDArray[np.bool_]:
        """Which classes an image contains; background, at 0, is always one of them."""
        return np.array([True, *(name in entry.labels for name in self.class_names)])

    def splits(self, entry: Entry) -> npt.NDArray[np.bool_]:
        """To which splits an image belongs."""
        return np.array([name in entry.splits for name in self.split_names])


def class_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Well separated colours for classes 1..count: hues by the golden ratio, in two brightnesses."""
    colours = []
    for index in range(count):
        red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1.0, 0.75, 0.95 if index % 2 == 0 else 0.7)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)


class Method(methods.Method):
    """A reader of one layout."""

    @abstractmethod
    def read(self, root: Path) -> Index:
        """List the images below a folder; everything that is wrong with them is raised together."""
