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


def draw_runs(runs: Sequence[int], size: tuple[int, ...]) -> Mask:
    """The mask of some runs."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def read_lines(file: Path) -> dict[str, Corrected]:
    """What a file says, by image; each has one line."""
    return parse_lines(raw.text(file), where=str(file))


def parse_lines(text: str, *, where: str) -> dict[str, Corrected]:
    """What the text of a file says, by image.

    where: the file, for messages.
    """
    found: dict[str, Corrected] = {}
    for number, content in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):  # ids may have other line ends
        place = f"{where}, line {number}"
        try:
            line = LINE.validate_json(content)
        except ValidationError as error:
            [first, *_] = error.errors()
            address, do = ".".join(str(one) for one in first["loc"]), "correct it, or have `seedbed click` write it"
            said = f"{address}: {first['msg']}" if address else first["msg"]
            raise DataError(place, found=said, expected="a correction", do=do) from error
        if line.image in found:
            raise DataError(place, found=f"a second line of {line.image!r}", expected="one for each image", do="remove one of them")
        found[line.image] = line
    return found


def write_lines(file: Path, lines: Iterable[Corrected]) -> None:
    """Write a file, the images in the order of their ids."""
    text = "".join(f"{spell(one)}\n" for one in sorted(lines, key=lambda one: one.image))
    file = file.resolve()  # a link stays one
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)  # whole or not at all
    finally:
        beside.unlink(missing_ok=True)


def spell(line: Corrected) -> str:
    """A line as it is written."""
    return json.dumps(asdict(line), ensure_ascii=False)


def check_line(line: Corrected, data: Artifact, *, where: str) -> None:
    """Refuse the line of an image that does not fit the data set.

    where: the file, for messages.
    """
    where, do = f"{where}: {line.image!r}", "correct it, or remove the line"
    if line.image not in data or line.image not in data.labelled:
        raise DataError(where, found="no such image with labels", expected="one of the data set", do=do)
    if line.size != (size := data.size(line.image)):
        found, expected = (" x ".join(map(str, one)) for one in (line.size, size))
        raise DataError(where, found=f"{found} pixels", expected=f"{expected}, as the data set has it", do=do)
    known = list_labels(data, line.image)
    for thing in line.things:
        if thing.label not in known:
            raise DataError(where, found=repr(thing.label), expected=f"one of its labels: {join_names(known)}", do=do)
        if (pixels := sum(thing.runs)) != size[0] * size[1]:
            raise DataError(where, found=f"runs of {pixels} pixels", expected=f"{size[0] * size[1]}, as the image has", do=do)


def list_labels(data: Artifact, image_id: str) -> list[str]:
    """Labels that can be given in an image: those that it has, and background."""
    shown = [int(one) for one in np.flatnonzero(data.array("labels")[data.row(image_id)]) if one != BACKGROUND]
    return [data.class_names[one] for one in (*shown, BACKGROUND)]


@dataclass(frozen=True)
class Corrections:
    """What a person has said of some images of a data set."""

    said: Mapping[str, tuple[bool, tuple[tuple[int, tuple[int, ...]], ...]]]  # by image: whether it is complete; class and runs of things

    @classmethod
    def of(cls, lines: Mapping[str, Corrected], data: Artifact, *, where: str) -> Corrections:
        """Those of the lines of a file, which are refused if they do not fit the data set.

        where: the file, for messages.
        """
        for line in lines.values():
            check_line(line, data, where=where)
        number = data.class_names.index
        said = {image: (line.complete, tuple((number(one.label), tuple(one.runs)) for one in line.things)) for image, line in lines.items()}
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
        return hashlib.sha256(json.dumps(self.said[image_id]).encode()).hexdigest() if image_id in self.said else ""

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
        for label, runs in things:
            corrected[draw_runs(runs, labels.shape)] = label
        return corrected
