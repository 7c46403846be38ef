"""Draws charts as arrays: bars of IoU, confusion matrices, and the curve of thresholds.

It uses neither pyplot, which has a global state, nor the user's matplotlib style, so that the same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seedbed.types import Image

INK, FAINT, BAR = "#222222", "#999999", "#4477aa"
MARKED = ("#cc3311", "#228833", "#aa3377", "#ee7733")  # colours of marked points
MARGIN, ROW, PANEL, CELL = 1.3, 0.26, 2.1, 0.42  # inches
DARK = 0.55  # share from which the number in a cell is white
NOTHING = "Nothing to show: no image has a truth."

Figures = Mapping[str, float | None]


def draw_bars(panels: Mapping[str, Figures]) -> Image:
    """Draw panels side by side, each with a bar for every class.

    panels: for each title, figures by class; None if a class has no figure.
    """
    names = list(next(iter(panels.values()), {}))
    with _page(MARGIN + PANEL * max(1, len(panels)), 2 * MARGIN / 3 + ROW * max(4, len(names))) as (figure, finished):
        axes: Any = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
        if not panels:
            _say_nothing(axes[0])
        for panel, (title, values) in zip(axes, panels.items(), strict=False):
            panel.barh(range(len(names)), [values[name] or 0 for name in names], color=BAR)
            for row, name in enumerate(names):
                value = values[name]
                text, colour = ("absent", FAINT) if value is None else (f"{value:.3f}", INK)
                panel.text((value or 0) + 0.02, row, text, va="center", fontsize=7, color=colour)
            panel.set(title=title, xlim=(0, 1.2), xticks=(0, 0.5, 1), yticks=range(len(names)), yticklabels=names, xlabel="IoU")
            panel.invert_yaxis()
            _bare(panel)
        return finished()


def draw_matrix(shares: npt.NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], *, title: str) -> Image:
    """Draw a confusion matrix with a percentage of its row in every cell.

    shares: (true class, predicted class), of the row; NaN in rows of classes without pixels.
    """
    with _page(2 * MARGIN + CELL * len(columns), 2 * MARGIN + CELL * len(rows)) as (figure, finished):
        axes = figure.subplots()
        axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            if share > 0:  # a cell without pixels stays empty; 0 means less than half a percent
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color="white" if share > DARK else INK)
        labels = [name if not np.isnan(shares[row]).all() else f"{name} (no pixels)" for row, name in enumerate(rows)]
        axes.set(title=title, xlabel="predicted", ylabel="true", yticks=range(len(rows)), yticklabels=labels, xticks=range(len(columns)))
        axes.set_xticklabels(columns, rotation=45, ha="right", rotation_mode="anchor")
        _bare(axes)
        return finished()


def draw_curve(points: Sequence[tuple[float, float, str]], *, title: str, x: str, y: str) -> Image:
    """Draw a line through points, and mark those that have a name.

    points: x, y, name.
    x, y: labels of the axes.
    """
    with _page(6, 4) as (figure, finished):
        axes = figure.subplots()
        if points:
            axes.plot([point[0] for point in points], [point[1] for point in points], color=BAR)
            marked = [point for point in points if point[2]]
            for (along, up, name), colour in zip(marked, MARKED, strict=False):
                axes.axvline(along, color=colour, linewidth=0.8, linestyle="--")
                axes.plot(along, up, "o", color=colour, label=f"{name}: {up:.3f} at {along:g}")
            axes.set(title=title, xlabel=x, ylabel=y)
            axes.grid(color=FAINT, alpha=0.3, linewidth=0.5)
            if marked:
                axes.legend(frameon=False)
            _bare(axes)
        else:
            _say_nothing(axes)
        return finished()


@contextmanager
def _page(width: float, height: float) -> Iterator[tuple[Figure, Callable[[], Image]]]:
    """A figure of this size in inches, and a function that renders it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"text.parse_math": False, "font.size": 9, "axes.titlesize": 9})  # a name with a dollar is a name
        figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)

        def finished() -> Image:
            canvas.draw()
            return np.array(canvas.buffer_rgba(), np.uint8)[..., :3]

        yield figure, finished


def _bare(axes: Axes) -> None:
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)


def _say_nothing(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, NOTHING, ha="center", va="center", transform=axes.transAxes)
