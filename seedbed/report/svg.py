"""Charts as SVG: crisp at every size, light, with text as text, in the colours that the page's style gives to their classes.

The same figures give the same text. Nothing here reads or computes figures.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seedbed.report.markup import Attributes, Markup, element, escape, join

ROW, TRACK, CHIP, VALUE = 22, 150, 10, 44  # pixels: a row of bars, a bar of 1, a colour's chip, room for a number
LETTER, SMALL = 0.56, 11  # width of a letter as a share of its size; size of letters
LONGEST = 150  # pixels of a name beside a chart
CELL, MOST_NUMBERS = 34, 24  # of a confusion matrix; with more classes its cells carry no numbers
DARK = 0.55  # from here on, numbers on a cell are light
SEEN = 0.005  # a share below is no more than an empty cell


@dataclass(frozen=True)
class Bar:
    """A row of a chart of bars."""

    name: str
    value: float | None  # in [0, 1]
    colour: str = ""  # of what is named
    note: str = ""  # shown instead of a value that there is not, and beside one that there is


@dataclass(frozen=True)
class Mark:
    """A point of a line that is told of."""

    x: float
    y: float
    name: str


def draw_bars(bars: Sequence[Bar], *, label: str) -> Markup:
    """Bars of shares, one below the other, each with its name and its value.

    label: what the chart shows, for whoever cannot see it.
    """
    chip = CHIP + 6 if any(bar.colour for bar in bars) else 0
    names = [cut(bar.name) for bar in bars]
    left = chip + max([measure(name) for name in names], default=0) + 8
    width = left + TRACK + VALUE + max([measure(bar.note) for bar in bars if bar.value is not None], default=0)
    rows = []
    for place, (bar, name) in enumerate(zip(bars, names, strict=True)):
        top = place * ROW
        middle = top + ROW / 2
        shown = "absent" if bar.value is None and not bar.note else bar.note if bar.value is None else f"{bar.value:.3f}"
        length = TRACK * min(max(bar.value or 0.0, 0.0), 1.0)
        rows += [draw_chip(0, middle - CHIP / 2, bar.colour)] if bar.colour else []
        rows += [
            write(name, chip, middle, full=bar.name),
            element("rect", {"class": "track", "x": left, "y": middle - 5, "width": TRACK, "height": 10, "rx": 2}),
            element("rect", {"class": "bar", "x": left, "y": middle - 5, "width": float(length), "height": 10, "rx": 2}),
            write(shown, left + TRACK + 6, middle, style="faint" if bar.value is None else "number"),
        ]
        if bar.note and bar.value is not None:
            rows.append(write(bar.note, left + TRACK + VALUE, middle, style="faint"))
    return frame(width, ROW * len(bars), label, *rows)


def draw_line(
    points: Sequence[tuple[float, float]],
    *,
    label: str,
    size: tuple[int, int] = (300, 150),
    marks: Sequence[Mark] = (),
    names: tuple[str, str] = ("", ""),
) -> Markup:
    """A line through points, with marks on it.

    size: width and height.
    names: of what is along, and up.
    """
    known = [(along, up) for along, up in points if math.isfinite(along) and math.isfinite(up)]
    if not known:
        return frame(*size, label, write("no figures", size[0] / 2, size[1] / 2, style="faint", anchor="middle"))
    ticks = choose_ticks(*_range([up for _, up in known] + [mark.y for mark in marks]), 4)
    along_ticks = choose_ticks(*_range([along for along, _ in known]), 5 if size[0] > 400 else 3)
    left, right, top, bottom = (
        12 + max(measure(_number(one)) for one in ticks),
        12,
        10 + (14 if names[1] else 0),
        22 + (14 if names[0] else 0),
    )
    low, high = min(ticks[0], *(up for _, up in known)), max(ticks[-1], *(up for _, up in known))
    first, last = _range([along for along, _ in known])

    def place(along: float, up: float) -> tuple[float, float]:
        x = left + (along - first) / (last - first) * (size[0] - left - right)
        return round(x, 2), round(size[1] - bottom - (up - low) / (high - low) * (size[1] - top - bottom), 2)

    parts = []
    for tick in ticks:
        y = place(first, tick)[1]
        parts += [_rule(left, y, size[0] - right, y), write(_number(tick), left - 6, y, style="faint", anchor="end")]
    parts += [
        write(_number(tick), place(tick, low)[0], size[1] - bottom + 13, style="faint", anchor="middle")
        for tick in along_ticks
        if first <= tick <= last
    ]
    if names[0]:
        parts.append(write(names[0], (left + size[0] - right) / 2, size[1] - 7, style="faint", anchor="middle"))
    if names[1]:
        parts.append(write(names[1], left, 8, style="faint"))
    path = " ".join(f"{x},{y}" for x, y in (place(*point) for point in known))
    parts.append(element("polyline", {"class": "line", "points": path}))
    lowest = size[1] - bottom - 12
    for number, mark in enumerate(sorted(marks, key=lambda one: one.x)):
        x, y = place(mark.x, mark.y)
        told = f"{mark.name}: {mark.y:.3f} at {mark.x:g}"
        leftwards = x - measure(told) - 10 > left and (number == 0 < len(marks) - 1 or x + measure(told) + 10 > size[0])
        parts += [
            element("line", {"class": f"mark mark{number % 2}", "x1": x, "y1": top, "x2": x, "y2": size[1] - bottom}),
            element("circle", {"class": f"dot mark{number % 2}", "cx": x, "cy": y, "r": 4.5}),
            write(told, x + (-8 if leftwards else 8), lowest - 16 * number, style="number", anchor="end" if leftwards else "start"),
        ]
    return frame(*size, label, *parts)


def draw_matrix(shares: npt.NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], *, label: str) -> Markup:
    """A confusion matrix, with the share of each row in every cell in percent.

    shares: (true class, predicted class), of the row; NaN where a row has nothing.
    """
    numbers = len(rows) <= MOST_NUMBERS
    cell = CELL if numbers else 12
    left = max(measure(cut(name)) for name in rows) + 10
    top = round(max(measure(cut(name)) for name in columns) * 0.72) + 12
    parts = []
    for column, name in enumerate(columns):
        x, y = left + cell * (column + 0.5), top - 8
        attributes: Attributes = {"transform": f"rotate(-45 {x:g} {y:g})"}
        parts.append(element("g", attributes, write(cut(name), x, y, full=name)))
    for row, name in enumerate(rows):
        middle = top + cell * (row + 0.5)
        parts.append(write(cut(name), left - 8, middle, anchor="end", full=name))
        if np.isnan(shares[row]).all():
            parts.append(write("no pixels", left + 4, middle, style="faint"))
            continue
        for column, other in enumerate(columns):
            share = float(shares[row, column])
            place: Attributes = {"x": left + cell * column, "y": top + cell * row, "width": cell - 1, "height": cell - 1, "rx": 2}
            told = element("title", {}, f"{name} predicted as {other}: {100 * share:.1f} %")
            opacity = round(share, 3)
            if share >= SEEN:
                parts.append(element("rect", {"class": "track", **place}))
                parts.append(element("rect", {"class": "cell", "fill-opacity": f"{opacity:g}", **place}, told))
                if numbers:
                    style = "on" if share > DARK else "number"
                    parts.append(write(f"{100 * share:.0f}", left + cell * (column + 0.5), middle, style=style, anchor="middle"))
            elif numbers:
                parts.append(element("rect", {"class": "track", **place}, told))
    return frame(left + cell * len(columns) + max(0, top - cell // 2), top + cell * len(rows), label, *parts)


def draw_chip(x: float, y: float, colour: str) -> Markup:
    """A small square of a colour."""
    return element("rect", {"class": "chip", "x": x, "y": y, "width": CHIP, "height": CHIP, "rx": 2, "fill": colour})


def frame(width: float, height: float, label: str, *content: str) -> Markup:
    """A drawing of so many pixels, which shrinks where there is less room.

    label: what it shows, for whoever cannot see it.
    """
    attributes: Attributes = {
        "viewBox": f"0 0 {math.ceil(width)} {math.ceil(height)}",
        "width": math.ceil(width),
        "height": math.ceil(height),
    }
    space: Attributes = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": label}
    return element("svg", {**space, **attributes}, *content)


def choose_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from at most the lowest to at least the highest, in about so many steps."""
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * size for factor in (1, 2, 5, 10)), key=lambda one: abs(math.log(one / rough)))
    digits = max(0, 2 - math.floor(math.log10(step)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, digits) for number in range(first, last + 1)]


def measure(text: str, *, size: float = SMALL) -> int:
    """About how many pixels wide text is: letters of East Asia are as wide as they are high."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return math.ceil(size * (wide + LETTER * (len(text) - wide)))


def cut(text: str, width: float = LONGEST) -> str:
    """Text that is not longer than so many pixels."""
    while measure(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text


def write(text: str, x: float, y: float, *, style: str = "", anchor: str = "start", full: str = "") -> Markup:
    """A line of text whose middle is at a height.

    full: the text, where what is written is cut short.
    """
    told = element("title", {}, full) if full and full != text else Markup("")
    attributes: Attributes = {"x": round(float(x), 2), "y": round(float(y) + 0.35 * SMALL, 2), "text-anchor": anchor}
    return element("text", {**({"class": style} if style else {}), **attributes}, join(told, escape(text)))


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", {"class": "rule", "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest value, which differ."""
    low, high = float(min(values)), float(max(values))
    return (low, high) if high > low else (low - abs(low or 1) / 2, high + abs(high or 1) / 2)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
