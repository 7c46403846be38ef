"""Legends in any script."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.report import lettering
from seedbed.report.lettering import LINE, Entry, draw_legend, find_font

RED, BLUE = (200, 30, 0), (0, 40, 220)


def test_a_legend_has_a_block_and_a_name_for_every_class() -> None:
    drawn = draw_legend([Entry("cat", RED, 1), Entry("كلب", BLUE, 2)], 300)
    assert drawn.shape == (LINE, 300, 3) and drawn.dtype == np.uint8
    red, blue = ((drawn == colour).all(axis=-1) for colour in (RED, BLUE))
    assert red.sum() > 50 and blue.sum() > 50 and red.any(axis=0).argmax() < blue.any(axis=0).argmax()
    after = drawn[:, blue.any(axis=0).nonzero()[0].max() + 3 :]
    assert after.min() < 100, "Arabic letters are drawn"


def test_a_legend_takes_as_many_lines_as_it_needs() -> None:
    entries = [Entry(f"class {number}", RED, number) for number in range(5)]
    assert draw_legend(entries, 2000).shape == (LINE, 2000, 3)
    assert draw_legend(entries, 90).shape == (5 * LINE, 90, 3)
    assert draw_legend([], 90).shape == (0, 90, 3)


def test_a_name_that_no_font_has_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_others", lambda: ())
    find_font.cache_clear()
    try:
        assert find_font("猫") is None and find_font("cat dog") is not None
        assert Entry("猫", RED, 3).text == "class 3"
        assert draw_legend([Entry("猫", RED, 3)], 200).min() < 100
    finally:
        find_font.cache_clear()


def test_fonts_of_placeholders_are_none() -> None:
    assert not [file for file in lettering._others() if "LastResort" in file.name]
