"""Things: what is connected, and how well each is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.scoring import things
from seedbed.scoring.boundaries import FilledTruth
from seedbed.scoring.things import find_smallest, find_things, measure_disagreement
from seedbed.types import IGNORE, LabelMap

TWO = np.array([[1, 1, 0, 2, 0, 0], [0, 0, 1, 0, 2, 0], [0, 0, 0, 0, 0, 255], [1, 0, 0, 0, 0, 2]], np.uint8)


def rows(text: str) -> LabelMap:
    """A map of labels, written row by row; `.` is background, `?` is 255."""
    values = {".": 0, "?": 255}
    return np.array([[values.get(one, one) for one in row] for row in text.split()], np.uint8)


def measure_by_size(labels: LabelMap, truth: LabelMap, bounds: Sequence[float]) -> npt.NDArray[np.float64]:
    return things.measure_by_size(find_things(labels), find_things(FilledTruth.of(truth).classes), bounds, known=truth != IGNORE)


def test_pixels_that_touch_at_a_corner_are_one_thing_and_void_is_none() -> None:
    found = {one.label: (one.pixels.tolist(), np.bincount(one.numbers.ravel()).tolist()) for one in find_things(TWO)}
    assert found == {1: ([3, 1], [20, 3, 1]), 2: ([2, 1], [21, 2, 1])}
    assert find_smallest(find_things(TWO)) == 1
    assert find_smallest(find_things(np.zeros((2, 3), np.uint8))) == find_smallest(find_things(np.full((2, 3), 255, np.uint8))) == 0
    assert find_smallest(find_things(rows("11.22 11.22"))) == 4


def test_a_perfect_answer_finds_every_thing_whatever_its_size() -> None:
    truth = rows("11....1 11..2.. 11?....")
    assert measure_by_size(truth, truth, (0.1,)).tolist() == [[2, 2], [1, 1]]


def test_what_is_labelled_beyond_things_counts_against_those_that_it_touches() -> None:
    """The left thing has 2 pixels, the right one 1; one connected answer covers all three and 2 pixels more."""
    truth, labels = rows("11..1 ....."), rows("11111 .....")
    left, right = 2 / (2 + 2 * 2 / 3), 1 / (1 + 2 / 3)
    assert measure_by_size(labels, truth, (0.15,)) == pytest.approx(np.array([[1, right], [1, left]]))


def test_a_single_pixel_that_is_touched_is_enough() -> None:
    assert measure_by_size(rows("1... 111."), rows("1111 ...."), ()) == pytest.approx(np.array([[1, 1 / 7]]))


def test_what_touches_no_thing_counts_against_none_and_other_classes_find_nothing() -> None:
    truth = rows("11... .....")
    assert measure_by_size(rows("1...1 ....."), truth, ()).tolist() == [[1, 0.5]]
    assert measure_by_size(rows("22... ....."), truth, ()).tolist() == [[1, 0]]
    assert measure_by_size(rows("????? ?????"), truth, ()).tolist() == [[1, 0]]
    assert measure_by_size(rows("11111 11111"), rows("..... ....."), (0.5,)).tolist() == [[0, 0], [0, 0]]


def test_void_counts_neither_way_but_connects_what_is_labelled_on_it() -> None:
    assert measure_by_size(rows("111. ...."), rows("11?. ...."), ()).tolist() == [[1, 1]]
    assert measure_by_size(rows("1111 ...."), rows("11?. ...."), ()) == pytest.approx(np.array([[1, 2 / 3]]))
    assert measure_by_size(rows("11.1 ...."), rows("11?. ...."), ()).tolist() == [[1, 1]]
    assert measure_by_size(rows("11.. 1..."), rows("???? ????"), ()).tolist() == [[0, 0]]


def test_what_is_labelled_all_over_finds_no_more_of_a_thing_because_void_surrounds_it() -> None:
    truth = rows("????..... ?11?..... ????.....")
    assert measure_by_size(np.ones_like(truth), truth, ()) == pytest.approx(np.array([[1, 2 / 17]]))


def test_what_void_alone_cuts_off_is_of_the_same_thing() -> None:
    """A leg behind its outline; its two pixels are known, and the whole is a thing of six."""
    truth = rows("11?1.. 11?1.. ??....")
    assert measure_by_size(truth, truth, (0.3, 0.35)).tolist() == [[0, 0], [1, 1], [0, 0]]
    assert measure_by_size(rows("11.... 11.... ......"), truth, ()) == pytest.approx(np.array([[1, 4 / 6]]))


def test_what_void_hides_alone_is_no_thing() -> None:
    """Fillings may be cut off from the known pixels that they are filled from."""
    filled, known = rows("1.1..."), np.array([[True, True, False, True, True, True]])
    made = things.measure_by_size(find_things(filled), find_things(filled), (), known=known)
    assert made.tolist() == [[1, 1]]


def test_a_size_at_a_bound_is_of_the_larger_ones() -> None:
    truth = rows("1..2 ...2")
    assert measure_by_size(truth, truth, (0.125, 0.25)).tolist() == [[0, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("12..", "12..", 0), ("12..", "21..", 0.5), ("1?..", "2?.?", 0.5), ("1???", "?111", 0), ("1111", "....", 1), ("1???", "2???", 1)],
)
def test_disagreement_is_of_what_both_label(one: str, other: str, share: float) -> None:
    assert measure_disagreement(rows(one), rows(other)) == measure_disagreement(rows(other), rows(one)) == pytest.approx(share)
