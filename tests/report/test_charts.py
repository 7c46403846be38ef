"""Charts: that they say what they are given, and that the same figures give the same bytes whatever style a user has."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from seedbed.report import charts
from seedbed.types import Image

NAMES = ["background", "cat", "a $5 dog"]
BARS: dict[str, dict[str, float | None]] = {
    "masks\nmIoU 0.500": {"background": 0.75, "cat": 0.25, "a $5 dog": None},
    "seeds": {"background": 0.5, "cat": 0.0, "a $5 dog": 1.0},
}
SHARES = np.array([[0.9, 0.096, 0.004, 0], [0.25, 0.75, 0, 0], [np.nan] * 4])
POINTS = [(0.0, 0.25, ""), (0.1, 0.5, "oracle"), (0.2, 0.375, "declared")]


def bars() -> Image:
    return charts.draw_bars(BARS)


def matrix() -> Image:
    return charts.draw_matrix(SHARES, NAMES, [*NAMES, "unlabelled"], title="masks")


def curve() -> Image:
    return charts.draw_curve(POINTS, title="class maps", x="threshold", y="mIoU")


CHARTS = pytest.mark.parametrize("draw", [bars, matrix, curve])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Image]], list[str]]:
    """Everything that a chart says."""

    def of(draw: Callable[[], Image]) -> list[str]:
        drawn: list[Figure] = []

        def remembered(figure: Figure) -> FigureCanvasAgg:
            drawn.append(figure)
            return FigureCanvasAgg(figure)

        with monkeypatch.context() as patched:
            patched.setattr(charts, "FigureCanvasAgg", remembered)
            draw()
        said: list[Text] = []
        for one in drawn[0].axes:
            legend = one.get_legend()
            ticks = [*one.get_xticklabels(), *one.get_yticklabels()]
            said += [*one.texts, *ticks, one.title, *(legend.get_texts() if legend else ())]
        return [text.get_text() for text in said]

    return of


@CHARTS
def test_the_same_figures_give_the_same_picture_whatever_the_user_s_style(draw: Callable[[], Image]) -> None:
    first = draw()
    with mpl.rc_context({"font.size": 20, "figure.dpi": 33, "lines.linewidth": 7, "axes.facecolor": "red"}):
        assert np.array_equal(draw(), first)
        assert mpl.rcParams["font.size"] == 20, "whoever uses matplotlib beside us keeps his style"
    assert first.dtype == np.uint8 and first.shape[2] == 3 and first.shape[0] != first.shape[1]
    assert 255 in first and first.min() < 100


def test_bars_have_a_number_each_and_a_class_without_any_is_absent(written: Callable[..., list[str]]) -> None:
    said = written(bars)
    assert {"masks\nmIoU 0.500", "0.750", "0.250", "absent", "seeds", "0.500", "0.000", "1.000", *NAMES} <= set(said)


def test_a_matrix_says_percents_and_leaves_cells_without_a_pixel_empty(written: Callable[..., list[str]]) -> None:
    said = written(matrix)
    assert said[:5] == ["90", "10", "0", "25", "75"]
    assert {"masks", "background", "cat", "a $5 dog (no pixels)", "unlabelled"} <= set(said)


def test_a_curve_names_its_marks_with_their_figures(written: Callable[..., list[str]]) -> None:
    assert {"class maps", "oracle: 0.500 at 0.1", "declared: 0.375 at 0.2"} <= set(written(curve))


@pytest.mark.parametrize("draw", [lambda: charts.draw_bars({}), lambda: charts.draw_curve([], title="", x="", y="")])
def test_where_there_is_nothing_to_show_a_chart_says_so(draw: Callable[[], Image], written: Callable[..., list[str]]) -> None:
    assert charts.NOTHING in written(draw)


def test_many_classes_make_a_chart_larger() -> None:
    many = [f"class {number}" for number in range(12)]
    assert charts.draw_bars({"masks": dict.fromkeys(many, 0.5)}).shape[0] > bars().shape[0]
    assert charts.draw_matrix(np.eye(12), many, many, title="").shape[0] > matrix().shape[0]
