"""The command `replay`: the clicks of a file of corrections, answered once more by what the cache has now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from seedbed.algorithms.clicks import Click
from seedbed.corrections import Corrected, Mask, Thing, check_line, count_runs, draw_runs, read_lines, write_lines
from seedbed.errors import MachineError
from seedbed.params import Params
from seedbed.run.progress import Progress
from seedbed.store.runs import open_run
from seedbed.tools.photographs import find_raw_root
from seedbed.view.clicking import Clicking
from seedbed.view.library import Library


@dataclass(frozen=True)
class Replayed:
    """A thing as it was kept, and what its clicks select now."""

    image: str
    kept: Thing
    now: Thing
    fit: float  # IoU of the two; 1 where neither is anything


def replay(file: Path, *, write: bool) -> list[Replayed]:
    """Answer all clicks that a file has, in the order of its images.

    write: whether the file is to say what they select now.
    """
    if not file.is_file():
        raise MachineError(str(file), found="no such file", expected="one of corrections", do="name one that `seedbed click` has written")
    with open_run("") as run:
        library, lines = Library(run, find_raw_root(run)), read_lines(file)
        for line in lines.values():
            check_line(line, library.data, where=str(file))
        found = list(_answer(lines, Clicking(library), Params.read()))
    if write and any(one.now != one.kept for one in found):
        if read_lines(file) != lines:  # `seedbed click` may be keeping more in it
            do = "run it again"
            raise MachineError(str(file), found="other corrections than there were before", expected="the same", do=do)
        write_lines(file, [replace(line, things=[one.now for one in found if one.image == image]) for image, line in lines.items()])
    return found


def _answer(lines: Mapping[str, Corrected], clicking: Clicking, params: Params) -> Iterator[Replayed]:
    with Progress("replay", total=len(lines), unit="images") as progress:
        for line in lines.values():
            for thing in line.things:
                clicks = [Click(row, column, wanted == 1) for row, column, wanted in thing.clicks]
                now = kept = draw_runs(thing.runs, line.size)
                if clicks or thing.start:  # else it was drawn otherwise, and nothing can answer
                    now = clicking.select(params, thing.by, line.image, clicks, start=thing.start, level=thing.level)
                same = np.array_equal(now, kept)
                yield Replayed(line.image, thing, thing if same else replace(thing, runs=count_runs(now)), _fit(kept, now))
            progress.advance()


def _fit(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / either) if (either := np.count_nonzero(one | other)) else 1.0


def describe(found: Sequence[Replayed], file: Path, *, write: bool) -> RenderableType:
    """A table of what is selected otherwise than it was kept, and a line on all."""
    others = [one for one in found if one.now != one.kept]
    said = f"Things that are as they were kept: {len(found) - len(others)} of {len(found)}"
    if not others:
        return escape(f"{said}.")
    table = Table("image", "label", "by", "clicks", "IoU with what was kept")
    for one in others:
        table.add_row(*map(escape, (one.image, one.kept.label, one.kept.by, str(len(one.kept.clicks)), f"{one.fit:.3f}")))
    done = f"{file} now says what the others select" if write else "`--write` lets the file say what the others select now"
    return Group(table, escape(f"{said}; {done}."))
