"""Data sets: which images there are, what each contains, and to which splits it belongs.

A method of this family reads one layout of raw data. It may read files, but never a pixel label. Only `seedbed/scoring/truth.py` knows
where the true masks of a layout are; a reader says what their values mean.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from seedbed import methods
from seedbed.errors import DataError, ParamsError, join_names, list_problems, nearest, shorten
from seedbed.methods import parameters
from seedbed.store import raw
from seedbed.types import BACKGROUND, IGNORE

EXPECTED = "existing images once each, with known classes"
Pixels = Annotated[int, Field(ge=16, le=20_000)]


@parameters
class Settings:
    """Settings for every reader."""

    root: str  # folder of the raw data, relative to the project; may be a symbolic link
    classes: tuple[str, ...]  # use only these of the reader's classes, in this order; pixels of others count nowhere; [] uses all
    max_size: tuple[Pixels, Pixels]  # height, width of the largest image
    larger: Literal["refuse", "shrink"]  # what to do with larger images: refuse them, or shrink them to fit
    allow_broken: Annotated[int, Field(ge=0)]  # number of image files that may be unusable; they are listed in the artifact and left out


@cache
def find_shared_words(words: frozenset[str]) -> frozenset[str]:
    """The same set for the same words, for there are many images and few sets."""
    return words


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a data set."""

    id: str
    file: str  # relative to the root
    labels: frozenset[str] | None  # names of the classes that it contains; None if it has no labels
    splits: frozenset[str]


@dataclass(frozen=True)
class Index:
    """A data set as its reader found it."""

    class_names: tuple[str, ...]  # without background
    entries: tuple[Entry, ...]  # in the order that every artifact keeps
    values: tuple[int, ...] = ()  # in true masks, of background and every class; 0, 1, 2, ... unless given
    left_out: tuple[int, ...] = ()  # values in true masks that count nowhere
    further: Mapping[int, int] = field(default_factory=dict)  # other values in true masks, and the numbers of the classes that they mean
    problems: tuple[str, ...] = ()  # with lists, tables and annotations; wrong entries are not in `entries`

    @cached_property
    def split_names(self) -> list[str]:
        """Every split that an image belongs to, in alphabetical order."""
        return sorted({split for entry in self.entries for split in entry.splits})

    @property
    def splits_labelled(self) -> dict[str, bool]:
        """For every split, whether some of its images have labels."""
        known = {split for entry in self.entries if entry.labels is not None for split in entry.splits}
        return {split: split in known for split in self.split_names}

    def labels(self, entry: Entry) -> npt.NDArray[np.bool_]:
        """For every class, whether an image is known to contain it; background, at 0, is always true."""
        return np.array([True, *(name in (entry.labels or ()) for name in self.class_names)])

    def splits(self, entry: Entry) -> npt.NDArray[np.bool_]:
        """For every split, whether an image belongs to it."""
        return np.array([name in entry.splits for name in self.split_names])

    @cached_property
    def meaning(self) -> npt.NDArray[np.int16]:
        """Class of every value of true masks; 255 counts nowhere, -1 must not occur."""
        meaning = np.full(256, -1, np.int16)
        values = self.values or range(1 + len(self.class_names))
        for number, value in enumerate(values):
            meaning[value] = number
        for value in (*self.left_out, IGNORE):
            meaning[value] = IGNORE
        for value, number in self.further.items():
            meaning[value] = number
        return meaning

    def check(self, where: Path) -> None:
        """Refuse a data set in which something is wrong."""
        if self.problems:
            raise DataError(
                str(where), found=f"{len(self.problems)} problems: {list_problems(self.problems)}", expected=EXPECTED, do="correct them"
            )

    def restrict(self, names: Sequence[str]) -> Index:
        """The same images with only some of the classes."""
        check_classes(names, self.class_names)
        values = self.values or tuple(range(1 + len(self.class_names)))
        positions = [self.class_names.index(name) for name in names]
        kept = frozenset(names)
        others = tuple(values[1 + place] for place, name in enumerate(self.class_names) if name not in kept)
        return replace(
            self,
            class_names=tuple(names),
            entries=tuple(
                replace(one, labels=None if one.labels is None else find_shared_words(one.labels & kept)) for one in self.entries
            ),
            values=(values[BACKGROUND], *(values[1 + place] for place in positions)),
            left_out=(*self.left_out, *others),
        )


def check_classes(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse classes that a data set does not have.

    names: those that are wanted; known: those that there are.
    """
    for name in names:
        if name not in known or names.count(name) > 1:
            raise ParamsError(
                "params.yaml: dataset.classes",
                found=repr(name) + (" twice" if name in known else nearest(name, known)),
                expected=f"some of: {join_names(known)}",
                do="correct it",
            )


@dataclass(frozen=True)
class Preview:
    """What is known of a data set before it is read; None if only reading it tells."""

    class_names: tuple[str, ...] | None = None  # without background
    splits: Mapping[str, bool] | None = None  # name -> whether some of its images have labels, as far as that is known
    images: int | None = None


class Method(methods.Method):
    """A reader of one layout."""

    def preview(self, root: Path) -> Preview:
        """What can be found out quickly; refuses a folder that does not have this layout."""
        return Preview()

    @abstractmethod
    def read(self, root: Path) -> Index:
        """List the images below a folder, and all problems of their labels and splits."""


class Problems:
    """Collects the problems of a data set, so that they are reported all at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, problem: str) -> None:
        """Note something.

        where: the file, and the line if there is one.
        """
        self.found.append(shorten(f"{where}: {problem}"))


def check_root(root: Path, *, holds: str, do: str) -> None:
    """Refuse a root without the file or folder by which a layout is recognised."""
    if (found := raw.kind(root)) != raw.FOLDER:
        raise DataError(
            str(root),
            found="no such folder" if found == raw.NOTHING else found,
            expected="a folder with the raw data",
            do="put it there, or correct dataset.root in params.yaml",
        )
    if raw.kind(root / holds) == raw.NOTHING:
        raise DataError(str(root), found=f"no {holds}", expected=f"a folder with {holds}", do=do)


def find_problem(root: Path, folder: str, name: str) -> str:
    """What is wrong with a file that a table or list names; empty if nothing is.

    folder: where it should be, below the root.
    """
    file = (Path(folder) / name).as_posix()
    found = raw.kind(root / file) if is_below(name) else raw.NOTHING
    return "" if found == raw.FILE else f"there is no {file}" if found == raw.NOTHING else f"{file} is {found}"


def is_below(name: str) -> bool:
    """Whether a file name stays within its folder, and can be stored."""
    return bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts and "\0" not in name and raw.is_writable(name)
