"""Outlines are drawn as COCO's own tool draws them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as reference

from seedbed.scoring import outlines


def expected(outline: Any, height: int, width: int) -> Any:
    """What COCO's own tool draws."""
    pieces = reference.frPyObjects(outline, height, width)
    return reference.decode(reference.merge(pieces) if isinstance(outline, list) else pieces).astype(bool)


@pytest.mark.parametrize("seed", range(4))
def test_polygons(seed: int) -> None:
    random = np.random.default_rng(seed)
    for number in range(150):
        height, width = (int(side) for side in random.integers(3, 60, 2))
        corners = random.uniform(-5, 65, (int(random.integers(3, 9)), 2))
        polygons = [(np.round(corners) if number % 3 == 0 else corners).ravel().tolist() for _ in range(1 + number % 2)]
        assert np.array_equal(outlines.draw(polygons, (height, width)), expected(polygons, height, width))


def test_a_square_by_hand() -> None:
    shape = outlines.draw([[1, 2, 4, 2, 4, 5, 1, 5]], (7, 6))
    assert np.argwhere(shape).tolist() == [[row, column] for row in (2, 3, 4) for column in (1, 2, 3)]


def test_a_corner_that_is_named_twice_counts_once() -> None:
    twice = outlines.draw([[1, 2, 4, 2, 4, 2, 4, 5, 1, 5, 1, 5]], (7, 6))
    assert np.array_equal(twice, outlines.draw([[1, 2, 4, 2, 4, 5, 1, 5]], (7, 6)))


def test_run_lengths_packed_and_not() -> None:
    random = np.random.default_rng(0)
    for size in ((5, 9), (40, 3), (64, 48), (1, 200)):
        mask = random.random(size) < random.uniform(0.01, 0.6)
        packed = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = packed["counts"].decode()
        assert np.array_equal(outlines.draw({"size": size, "counts": text}, size), mask)
        assert np.array_equal(outlines.draw({"size": size, "counts": outlines.unpack(text)}, size), mask)


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([[1, 2]], "a polygon of 1 corners"),
        ([[1, 2, float("nan"), 3, 4, 5]], "a polygon with corners far outside of any image"),
        ([[1, 2, 1e9, 3, 4, 5]], "a polygon with corners far outside of any image"),
        ([[1, 2, 100_001, 3, 4, 5]], "a polygon with corners far outside of any image"),
        ({"size": [3, 4], "counts": [5, 6]}, "run lengths of 11 pixels where the image has 12"),
        ({"size": [4, 3], "counts": [5, 7]}, r"run lengths for \(4, 3\) pixels where the image has \(3, 4\)"),
        ({"size": [3, 4], "counts": [13, -1]}, "run lengths of 12 pixels"),
        ({"size": [3, 4], "counts": "5!"}, "'!' in packed run lengths"),
        ({"size": [3, 4], "counts": "5p"}, "'p' in packed run lengths"),  # one bit more than there are
        ({"size": [3, 4], "counts": "P"}, "packed run lengths that are cut short"),
        ({"size": [3, 4], "counts": "o" * 100_000}, "a packed run length larger than any image"),
        ({"size": [3, 4], "counts": [2**63 - 1, 2**63 - 1, 14]}, r"run lengths of \d+ pixels where the image has 12"),  # 12 in 64 bits
        ([[0, 0, 1e5, 1e5] * 100], "a polygon with a border longer than that of any thing"),
    ],
)
def test_what_cannot_be_drawn(outline: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        outlines.draw(outline, (3, 4))


def test_the_longest_run_length_that_is_read() -> None:
    assert outlines.unpack("P" * 11 + "1") == [2**55]
    with pytest.raises(ValueError, match="a packed run length larger than any image"):
        outlines.unpack("P" * 12 + "1")


def test_a_border_is_as_long_as_its_sides_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "LONGEST", 2 * outlines.LARGER * 3)
    assert not outlines.draw([[0, 0, 3, 0]], (3, 4)).any()
    with pytest.raises(ValueError, match="a polygon with a border longer than"):
        outlines.draw([[0, 0, 3.5, 0]], (3, 4))
