"""Pictures in a terminal: two pixels in every place, as the upper half of it and the rest, in 24-bit colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from seedbed.errors import MachineError
from seedbed.report.lettering import Entry
from seedbed.report.palette import Colour
from seedbed.types import Image

HALF, FULL, RESET = "\N{UPPER HALF BLOCK}", "\N{FULL BLOCK}", "\x1b[0m"


def check_colours(environment: Mapping[str, str], *, is_terminal: bool, encoding: str) -> None:
    """Refuse where colours would not be seen."""
    found = ""
    if environment.get("NO_COLOR"):
        found = "NO_COLOR, which asks for none"
    elif environment.get("TERM") in ("dumb", "unknown"):
        found = f"a terminal without any: TERM={environment['TERM']}"
    elif not is_terminal and not environment.get("FORCE_COLOR"):
        found = "output that is no terminal"
    else:
        try:
            HALF.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            found = f"a terminal of {encoding}, which has no blocks"
    if found:
        raise MachineError("seedbed show", found=found, expected="colours", do="name a file, as with --to picture.png")


def draw_blocks(picture: Image, columns: int) -> Iterator[str]:
    """Lines that show a picture.

    columns: of the terminal, all of which it takes.
    """
    height, width = picture.shape[:2]
    size = columns, max(1, round(height * columns / width))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if columns < width else cv2.INTER_NEAREST_EXACT)
    for upper in range(0, len(small), 2):
        lower = small[upper + 1] if upper + 1 < len(small) else None
        places, last = [], ""
        for column in range(columns):
            colours = _colour(38, small[upper, column]) + ("" if lower is None else _colour(48, lower[column]))
            places.append((colours if colours != last else "") + HALF)
            last = colours
        yield "".join(places) + RESET


def draw_names(entries: Sequence[Entry]) -> str:
    """A legend in one line."""
    return "  ".join(f"{_colour(38, np.array(entry.colour))}{2 * FULL}{RESET} {clean(entry.name)}" for entry in entries)


def clean(text: str) -> str:
    """A text without what would command a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _colour(kind: int, colour: Image | Colour) -> str:
    red, green, blue = (int(level) for level in colour)
    return f"\x1b[{kind};2;{red};{green};{blue}m"
