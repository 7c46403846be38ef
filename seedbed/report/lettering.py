"""Text in pictures, in any script that a font here has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from seedbed.report.palette import BLACK, WHITE, Colour
from seedbed.types import Image

SIZE, LINE, SPACE = 14, 22, 6  # of letters, of lines, between things; pixels
PLACEHOLDERS = "Last Resort"  # how fonts are called that have a box for every letter


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    name: str
    colour: Colour
    number: int = -1  # of the class, by which it is called where no font has its letters

    @property
    def text(self) -> str:
        """Its name, or what stands for it in a picture."""
        return self.name if find_font(self.name) else f"class {self.number}"


def draw_legend(entries: Sequence[Entry], width: int) -> Image:
    """What colours mean, in as many lines as it takes."""
    fonts = [_load(find_font(entry.text) or _usual()) for entry in entries]
    places, left, top = list[tuple[int, int]](), SPACE, 0
    for entry, font in zip(entries, fonts, strict=True):
        needed = LINE + round(font.getlength(entry.text)) + 2 * SPACE
        if left > SPACE and left + needed > width:
            left, top = SPACE, top + LINE
        places.append((left, top))
        left += needed
    page = PillowImage.new("RGB", (width, top + LINE if entries else 0), WHITE)
    pen = ImageDraw.Draw(page)
    for entry, font, (left, top) in zip(entries, fonts, places, strict=True):
        block = (left, top + 4, left + LINE - 8, top + LINE - 4)
        pen.rectangle(block, fill=entry.colour, outline=BLACK)
        pen.text((left + LINE - 2, top + LINE // 2), entry.text, fill=BLACK, font=font, anchor="lm")
    return np.asarray(page, np.uint8)


@lru_cache(maxsize=1024)
def find_font(text: str) -> Path | None:
    """A font with all letters of a text: the one that comes with matplotlib, or else any here; None where there is none."""
    wanted = {ord(letter) for letter in text if not letter.isspace()}
    if wanted <= _letters(_usual()):
        return _usual()
    return next((file for file in _others() if wanted <= _letters(file)), None)


def _usual() -> Path:
    return Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@lru_cache(maxsize=1)
def _others() -> tuple[Path, ...]:
    from matplotlib.font_manager import fontManager

    found = [font for font in fontManager.ttflist if not font.name.startswith(PLACEHOLDERS)]
    return tuple(
        Path(font.fname) for font in sorted(found, key=lambda font: (font.style != "normal", str(font.weight) != "400", font.fname))
    )


@lru_cache(maxsize=1024)
def _letters(file: Path) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):  # removed since, or of a kind that cannot be read
        return frozenset()


@lru_cache(maxsize=64)
def _load(file: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), SIZE)
