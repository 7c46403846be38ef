"""Counts in words."""

from __future__ import annotations

import pytest

from seedbed.report.wording import format_count


@pytest.mark.parametrize(
    ("number", "nouns", "expected"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (1234567, ("image",), "1234567 images"),
        (1, ("pass", "passes"), "1 pass"),
        (2.5, ("pass", "passes"), "2.5 passes"),
        (0.1 + 0.2, ("pass", "passes"), "0.3 passes"),
    ],
)
def test_numbers_have_the_noun_that_goes_with_them(number: float, nouns: tuple[str, ...], expected: str) -> None:
    assert format_count(number, *nouns) == expected
