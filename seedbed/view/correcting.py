"""What the page keeps of selections, in a file of corrections: the one thing that it writes, and only where it was asked to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seedbed.algorithms.clicks import Click
from seedbed.corrections import Corrected, Count, Pressed, Thing, check_line, count_runs, list_labels, read_lines, spell, write_lines
from seedbed.errors import ParamsError
from seedbed.methods import parameters
from seedbed.params import Params
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
    seen: str  # what identifies the line that is changed
    complete: bool
    things: list[Count | Asked]  # places of things that it has already, and new ones


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
        data = self._library.data
        line = self._find(self._read(), image_id)
        check_line(line, data, where=str(self.file))
        return {**asdict(line), "seen": _identify(line), "file": str(self.file), "labels": list_labels(data, image_id)}

    def keep(self, params: Params, content: bytes) -> dict[str, Any]:
        """Write the line of an image, or remove it where it would say nothing. Things that it has already stay as they were seen.

        content: a `Request` as JSON.
        """
        try:
            asked = REQUEST.validate_json(content)
        except ValidationError as error:
            raise ParamsError("correction", found=str(error.errors()[0]["msg"]), expected="an image's line", do="correct it") from error
        with self._lock:
            lines = self._read()
            before = self._find(lines, asked.image)
            if asked.seen != _identify(before) or any(isinstance(one, int) and one >= len(before.things) for one in asked.things):
                do = "reload the page, and do it again"
                raise ParamsError("correction", found="a line that has changed meanwhile", expected="the one that is shown", do=do)
            things = [before.things[one] if isinstance(one, int) else self._answer(params, asked.image, one) for one in asked.things]
            line = Corrected(image=asked.image, size=before.size, complete=asked.complete, things=things)
            check_line(line, self._library.data, where=str(self.file))
            lines[asked.image] = line
            write_lines(self.file, [one for one in lines.values() if one.things or one.complete])
        return self.describe(asked.image)

    def _read(self) -> dict[str, Corrected]:
        return read_lines(self.file) if self.file.exists() else {}

    def _find(self, lines: Mapping[str, Corrected], image_id: str) -> Corrected:
        """The line of an image, or one that says nothing."""
        return lines.get(image_id) or Corrected(image=image_id, size=self._library.data.size(image_id), complete=False, things=[])

    def _answer(self, params: Params, image_id: str, asked: Asked) -> Thing:
        clicks = [Click(row, column, wanted == 1) for row, column, wanted in asked.clicks]
        selected = self._clicking.select(params, asked.by, image_id, clicks, start=asked.start, level=asked.level)
        if not selected.any():
            raise ParamsError("clicks", found="no pixel that they select", expected="some", do="click on what is wanted")
        return Thing(**asdict(asked), runs=count_runs(selected))


def _identify(line: Corrected) -> str:
    return hashlib.sha256(spell(line).encode()).hexdigest()
