"""Corrections: what a person has selected in images by clicks, as a text file with a line of JSON for each image.

A line keeps the clicks, so that somebody can go on with them, and what they selected when the person saw it: labels that follow from it
stay as they were seen, whatever a network learns later, and whoever reads them needs neither a network nor regions.

    {"image": "train_0007", "size": [2, 3], "complete": false, "things":
        [{"label": "fish", "by": "clicks", "start": "", "clicks": [[0, 1, 1]], "level": null, "runs": [1, 2, 3]}]}

`runs` counts pixels row by row: so many that are not selected, then so many that are, and so on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from seedbed.errors import DataError, join_names
from seedbed.methods import parameters
from seedbed.store import raw
from seedbed.store.artifact import Artifact
from seedbed.types import BACKGROUND, IGNORE, LabelMap

Count = Annotated[int, Field(ge=0)]
Pressed = tuple[Count, Count, Annotated[int, Field(ge=0, le=1)]]  # row, column, 1 on what is wanted and 0 beside it
Mask = npt.NDArray[np.bool_]  # (y, x)


@parameters
class Thing:
    """What a person has selected of a class."""

    label: str  # the class's name; that of background is `background`
    by: str  # the section of params.yaml that answered the clicks
    start: str  # the class of which they corrected the labels; empty where they began with nothing
    clicks: list[Pressed]
    level: Count | None  # of the region that the last wanted click took, where the person chose it
    runs: list[Count]  # pixels, by turns not selected and selected


@parameters
class Corrected:
    """What a person has said of an image."""

    image: str
    size: tuple[Count, Count]  # height, width
    complete: bool  # whether whatever is not selected is background
    things: list[Thing]  # the later ones above the earlier


LINE = TypeAdapter(Corrected)


def count_runs(mask: Mask) -> list[int]:
    """A mask as lengths of its runs, row by row: the first is of pixels that are not selected, and may be 0."""
    turns = np.flatnonzero(np.diff(mask.ravel(), prepend=False))
    return [int(length) for length in np.diff(turns, prepend=0, append=mask.size)]


def draw_runs(runs: Sequence[int], size: tuple[int, int]) -> Mask:
    """The mask of some runs."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def read_lines(file: Path) -> dict[str, Corrected]:
    """What a file says, by image; each has one line."""
    found: dict[str, Corrected] = {}
    for number, text in enumerate(raw.text(file).splitlines(), start=1):
        where = f"{file}, line {number}"
        try:
            line = LINE.validate_json(text)
        except ValidationError as error:
            [first, *_] = error.errors()
            place = ".".join(str(one) for one in first["loc"])
            do = "correct it, or have `seedbed click` write it"
            raise DataError(where, found=f"{place}: {first['msg']}" if place else first["msg"], expected="a correction", do=do) from error
        if line.image in found:
            raise DataError(where, found=f"a second line of {line.image!r}", expected="one for each image", do="remove one of them")
        for thing in line.things:
            if sum(thing.runs) != line.size[0] * line.size[1]:
                told = f"runs of {sum(thing.runs)} pixels for {thing.label!r}"
                raise DataError(where, found=told, expected=f"{line.size[0] * line.size[1]}, as the image has", do="correct it")
        found[line.image] = line
    return found


def write_lines(file: Path, lines: Iterable[Corrected]) -> None:
    """Write a file, the images in the order of their ids."""
    text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in sorted(lines, key=lambda one: one.image))
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)  # whole or not at all


@dataclass(frozen=True)
class Corrections:
    """What a person has said of some images of a data set."""

    said: Mapping[str, tuple[bool, tuple[tuple[int, Mask], ...]]]  # by image: whether it is complete; class and pixels of each thing

    @classmethod
    def of(cls, file: Path, data: Artifact) -> Corrections:
        """Those of a file, which is refused if it does not fit the data set."""
        classes, labelled = data.class_names, frozenset(data.labelled)
        said = {}
        for image, line in read_lines(file).items():
            where, do = f"{file}: {image!r}", "correct it, or remove the line"
            if image not in labelled:
                raise DataError(where, found="no such image with labels", expected="one of the data set", do=do)
            if line.size != (size := data.size(image)):
                found, expected = (" x ".join(map(str, one)) for one in (line.size, size))
                raise DataError(where, found=f"{found} pixels", expected=f"{expected}, as the data set has it", do=do)
            present = [classes[one] for one in np.flatnonzero(data.array("labels")[data.row(image)])]
            known = {classes[BACKGROUND], *present}
            if odd := [thing.label for thing in line.things if thing.label not in known]:
                raise DataError(where, found=repr(odd[0]), expected=f"one of its labels: {join_names(sorted(known))}", do=do)
            said[image] = line.complete, tuple((classes.index(one.label), draw_runs(one.runs, line.size)) for one in line.things)
        return cls(said)

    @classmethod
    def none(cls) -> Corrections:
        """Nothing that anybody has said."""
        return cls({})

    def only(self, image_ids: Sequence[str]) -> Corrections:
        """Those of some images."""
        return Corrections({image: self.said[image] for image in image_ids if image in self.said})

    def key(self, image_id: str) -> str:
        """Identity of what follows for an image; empty where nothing was said."""
        if image_id not in self.said:
            return ""
        complete, things = self.said[image_id]
        return hashlib.sha256(json.dumps([complete, [[label, count_runs(mask)] for label, mask in things]]).encode()).hexdigest()

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.said

    def correct(self, image_id: str, labels: LabelMap) -> LabelMap:
        """Labels of an image as they are after its correction.

        What was selected is of its class. Elsewhere nothing is sure of classes that were selected, or all is background if the image is
        complete; of other classes the labels stay.
        """
        if image_id not in self.said:
            return labels
        complete, things = self.said[image_id]
        corrected = np.full_like(labels, BACKGROUND) if complete else labels.copy()
        corrected[np.isin(corrected, [label for label, _ in things if label != BACKGROUND])] = IGNORE
        for label, mask in things:
            corrected[mask] = label
        return corrected
