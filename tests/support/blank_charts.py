"""Charts that are white, where a test makes evaluations and looks at no chart: drawing takes most of their time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import numpy as np

from seedbed.report import charts
from seedbed.types import Image


@contextlib.contextmanager
def blank_charts() -> Iterator[None]:
    """Draw none, whatever is asked for."""

    def draw_nothing(*_: object, **__: object) -> Image:
        return np.full((8, 8, 3), 255, np.uint8)

    with mock.patch.multiple(charts, draw_bars=draw_nothing, draw_matrix=draw_nothing, draw_curve=draw_nothing):
        yield
