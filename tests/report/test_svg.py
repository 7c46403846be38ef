"""Charts as SVG: where things are and what is written, of the smallest figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seedbed.report.svg import CELL, MOST_NUMBERS, ROW, TRACK, Bar, Mark, choose_ticks, cut, draw_bars, draw_line, draw_matrix, measure
from tests.support.drawings import Drawing


def test_bars_are_as_long_as_their_values() -> None:
    drawn = Drawing(draw_bars([Bar("cat", 0.5, "#ff0000"), Bar("<dog>", None), Bar("三 & ثلاثة", 1.0)], label="IoU"))
    tracks, bars = drawn.all("rect", "track"), drawn.all("rect", "bar")
    assert [float(bar["width"]) for bar in bars] == [TRACK / 2, 0, TRACK]
    assert [float(track["width"]) for track in tracks] == [TRACK] * 3
    assert [float(bar["y"]) - float(bars[0]["y"]) for bar in bars] == [0, ROW, 2 * ROW]
    assert len({bar["x"] for bar in bars}) == 1
    assert drawn.texts == ["cat", "0.500", "<dog>", "absent", "三 & ثلاثة", "1.000"]
    assert [chip["fill"] for chip in drawn.all("rect", "chip")] == ["#ff0000"]
    assert (drawn.root.get("aria-label"), drawn.root.get("height")) == ("IoU", str(3 * ROW))


def test_a_bar_has_a_note_and_a_long_name_is_cut() -> None:
    name = "a name that is longer than the room beside a chart"
    drawn = Drawing(draw_bars([Bar(name, 0.25, note="7 things"), Bar("small", None, note="0 things")], label=""))
    assert drawn.texts[1:] == ["0.250", "7 things", "small", "0 things"]
    assert drawn.texts[0] == cut(name) and drawn.texts[0].endswith("…")
    assert drawn.titles == [name]
    last = drawn.place("7 things")[0] + measure("7 things")
    assert last <= float(drawn.root.attrib["width"])


def test_a_line_goes_through_its_points() -> None:
    drawn = Drawing(draw_line([(0, 0), (1, 1), (2, math.nan), (4, 0.5)], label="loss", size=(300, 150)))
    [line] = drawn.all("polyline", "line")
    (x0, y0), (x1, y1), (x4, y4) = (tuple(map(float, point.split(","))) for point in line["points"].split())
    assert x4 == 300 - 12 and x1 == pytest.approx(x0 + (x4 - x0) / 4, abs=0.01)
    assert y4 == pytest.approx((y0 + y1) / 2, abs=0.01) and y1 < y0
    assert {"0", "0.2", "0.8", "1"} < set(drawn.texts)
    assert drawn.place("0.8")[0] < x0


def test_marks_stand_at_their_points_and_say_so() -> None:
    points = [(0.0, 0.2), (0.1, 0.6), (0.2, 0.4)]
    marks = [Mark(0.2, 0.4, "declared"), Mark(0.1, 0.6, "best")]
    drawn = Drawing(draw_line(points, label="", size=(700, 300), marks=marks, names=("threshold", "mIoU")))
    places = [tuple(map(float, point.split(","))) for point in drawn.all("polyline")[0]["points"].split()]
    assert [(float(dot["cx"]), float(dot["cy"])) for dot in drawn.all("circle")] == places[1:]
    assert [float(line["x1"]) for line in drawn.all("line", "mark")] == [x for x, _ in places[1:]]
    assert {"best: 0.600 at 0.1", "declared: 0.400 at 0.2", "threshold", "mIoU"} < set(drawn.texts)


def test_a_line_without_points_says_so() -> None:
    assert Drawing(draw_line([(0, math.inf)], label="")).texts == ["no figures"]


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 250.0])
def test_a_line_that_is_level_is_drawn_and_so_is_one_of_a_single_point(value: float) -> None:
    for points in ([(0, value), (1, value)], [(5, value)]):
        drawn = Drawing(draw_line(points, label=""))
        assert all(0 <= float(y) <= 150 for y in drawn.all("polyline")[0]["points"].replace(",", " ").split()[1::2])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.31, 0.49, [0.3, 0.35, 0.4, 0.45, 0.5]),
        (-5, 5, [-6, -4, -2, 0, 2, 4, 6]),
        (0, 750, [0, 200, 400, 600, 800]),
        (0, 2e-4, [0, 0.00005, 0.0001, 0.00015, 0.0002]),
    ],
)
def test_ticks_are_round_and_reach_beyond(low: float, high: float, ticks: list[float]) -> None:
    assert choose_ticks(low, high, 4) == ticks


def test_a_confusion_matrix_has_percents() -> None:
    shares = np.array([[0.75, 0.25, 0.0], [np.nan] * 3])
    drawn = Drawing(draw_matrix(shares, ["cat", "<dog>"], ["cat", "<dog>", "unlabelled"], label="confusion"))
    assert [text for text in drawn.texts if text.isdigit()] == ["75", "25"]
    assert "no pixels" in drawn.texts and drawn.texts.count("<dog>") == 2
    first, second = drawn.all("rect", "cell")
    assert (first["fill-opacity"], second["fill-opacity"]) == ("0.75", "0.25")
    assert float(second["x"]) - float(first["x"]) == CELL and first["y"] == second["y"]
    assert drawn.titles[:2] == ["cat predicted as cat: 75.0 %", "cat predicted as <dog>: 25.0 %"]


def test_names_above_a_confusion_matrix_have_room() -> None:
    name = "a long name of a class"
    drawn = Drawing(draw_matrix(np.eye(2), ["cat", name], ["cat", name], label=""))
    x, y = max(drawn.place(text) for text in drawn.texts if text == name)
    reach = measure(name) / 2**0.5
    assert y - reach > 0 and x + reach < float(drawn.root.attrib["width"])


def test_a_confusion_matrix_of_many_classes_carries_no_numbers() -> None:
    names = [f"class {number}" for number in range(MOST_NUMBERS + 1)]
    drawn = Drawing(draw_matrix(np.eye(len(names)), names, names, label=""))
    assert len(drawn.all("rect", "cell")) == len(names) and not [text for text in drawn.texts if text.isdigit()]


def test_letters_of_east_asia_are_wide() -> None:
    assert measure("") == 0 < measure("ab") < measure("猫犬")
