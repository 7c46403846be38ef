"""What the page keeps of selections, in a file of corrections: the one thing that it writes, and only where it was asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from seedbed.algorithms.clicks import Click
from seedbed.corrections import Corrected, Count, Pressed, Thing, count_runs, read_lines, write_lines
from seedbed.errors import ParamsError, join_names
from seedbed.methods import parameters
from seedbed.params import Params
from seedbed.types import BACKGROUND
from seedbed.view.clicking import Clicking
from seedbed.view.library import Library


@parameters
class Asked:
    """A selection that is to be kept."""

    label: str
    by: str
    start: str
    clicks: list[Pressed]
    level: Count | None


@parameters
class Request:
    """What an image's line is to say."""

    image: str
    complete: bool
    things: list[Asked]


REQUEST = TypeAdapter(Request)


class Correcting:
    """A file of corrections, line by line."""

    def __init__(self, file: Path, library: Library, clicking: Clicking) -> None:
        self.file = file
        self._library = library
        self._clicking = clicking
        self._lock = Lock()  # the server answers in several threads

    def describe(self, image_id: str) -> dict[str, Any]:
        """What the file says of an image, and what can be said of it: its labels."""
        line = self._read().get(image_id)
        said = asdict(line) if line else {"image": image_id, "complete": False, "things": []}
        return {**said, "file": str(self.file), "labels": self._list_labels(image_id)}

    def keep(self, params: Params, content: bytes) -> dict[str, Any]:
        """Write the line of an image, or remove it where it would say nothing.

        Clicks are answered again, but for things that the line already has: these stay as they were seen.
        content: a `Request` as JSON.
        """
        try:
            asked = REQUEST.validate_json(content)
        except ValidationError as error:
            raise ParamsError("correction", found=str(error.errors()[0]["msg"]), expected="an image's line", do="correct it") from error
        with self._lock:
            lines = self._read()
            before = lines[asked.image].things if asked.image in lines else []
            things = [self._answer(params, asked.image, one, before) for one in asked.things]
            size = self._library.data.size(asked.image)
            if things or asked.complete:
                lines[asked.image] = Corrected(image=asked.image, size=size, complete=asked.complete, things=things)
            else:
                lines.pop(asked.image, None)
            write_lines(self.file, lines.values())
        return self.describe(asked.image)

    def _read(self) -> dict[str, Corrected]:
        return read_lines(self.file) if self.file.exists() else {}

    def _list_labels(self, image_id: str) -> list[str]:
        data = self._library.data
        shown = [int(one) for one in np.flatnonzero(data.array("labels")[data.row(image_id)]) if one != BACKGROUND]
        return [data.class_names[one] for one in (*shown, BACKGROUND)]

    def _answer(self, params: Params, image_id: str, asked: Asked, before: Sequence[Thing]) -> Thing:
        if asked.label not in (known := self._list_labels(image_id)):
            raise ParamsError("label", found=repr(asked.label), expected=f"one of: {join_names(known)}", do="choose one")
        for thing in before:
            if all(getattr(thing, name) == getattr(asked, name) for name in ("label", "by", "start", "clicks", "level")):
                return thing
        height, width = self._library.data.size(image_id)
        if not (asked.clicks or asked.start) or not all(row < height and column < width for row, column, _ in asked.clicks):
            raise ParamsError("clicks", found=str(asked.clicks), expected="some within the image", do="correct it")
        clicks = [Click(row, column, wanted == 1) for row, column, wanted in asked.clicks]
        selected = self._clicking.select(params, asked.by, image_id, clicks, start=asked.start, level=asked.level)
        runs = count_runs(selected)
        return Thing(label=asked.label, by=asked.by, start=asked.start, clicks=asked.clicks, level=asked.level, runs=runs)
