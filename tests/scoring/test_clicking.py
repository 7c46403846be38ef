"""Clicks of somebody who sees what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from scipy import ndimage

from seedbed.algorithms import ward
from seedbed.algorithms.clicks import Answer, Click, ClickTree, Mask
from seedbed.scoring import clicking
from seedbed.scoring.clicking import Wanted
from seedbed.scoring.true_things import TrueThing, TrueThings
from seedbed.types import Alignment

SIZE = (9, 13)
EMPTY = np.zeros(SIZE, np.bool_)


def box(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = EMPTY.copy()
    mask[top:bottom, left:right] = True
    return mask


THING = Wanted(box(2, 2, 7, 7), ~EMPTY, 1)


def test_the_first_click_is_in_the_middle_of_the_thing() -> None:
    assert clicking.find_next(EMPTY, THING, []) == Click(4, 4, True)


def test_the_next_is_where_most_is_wrong_on_either_side() -> None:
    assert clicking.find_next(box(2, 2, 7, 4), THING, []) == Click(3, 5, True), "the first of the deepest"
    assert clicking.find_next(box(2, 2, 7, 12), THING, []) == Click(4, 9, False)
    both = box(2, 2, 7, 4) | box(0, 8, 3, 11)  # three pixels wide each: then it is beside
    assert clicking.find_next(both, THING, []) == Click(1, 9, False)


def test_beyond_the_image_nothing_is_right() -> None:
    """A strip at the border is as deep as one elsewhere."""
    at_border = Wanted(box(0, 0, 3, 13), ~EMPTY, 1)
    assert clicking.find_next(EMPTY, at_border, []) == Click(1, 1, True)


def test_who_does_not_hit_the_middle_clicks_anywhere_that_is_deep_enough() -> None:
    def places(depth: float) -> set[tuple[int, int]]:
        aim = clicking.Aim(depth, np.random.default_rng(0))
        found = [clicking.find_next(EMPTY, THING, [], aim) for _ in range(300)]
        assert all(one is not None and one.wanted for one in found)
        return {(one.row, one.column) for one in found if one}

    assert places(1) == {(4, 4)}
    assert places(0.6) == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}, "two pixels from what is not the thing, or three"
    assert places(0) == {(row, column) for row in range(2, 7) for column in range(2, 7)}
    again = [clicking.Aim(0, np.random.default_rng(1)).choose(np.arange(1, 9)) for _ in range(2)]
    assert again[0] == again[1]


def test_pixels_that_have_a_click_get_no_other() -> None:
    small = Wanted(box(3, 3, 4, 5), ~EMPTY, 1)
    assert clicking.find_next(EMPTY, small, []) == Click(3, 3, True)
    assert clicking.find_next(EMPTY, small, [Click(3, 3, True)]) == Click(3, 4, True)
    assert clicking.find_next(EMPTY, small, [Click(3, 3, True), Click(3, 4, True)]) is None
    assert clicking.find_next(small.shape, small, []) is None


def test_what_is_not_known_is_not_wrong() -> None:
    unsure = Wanted(THING.shape, ~box(0, 8, 9, 13), 1)
    assert clicking.find_next(box(2, 2, 7, 12), unsure, []) == Click(2, 7, False)
    [_], iou, _ = clicking.click_through(lambda _: THING.shape | box(0, 8, 9, 13), unsure, start=EMPTY, most=5)
    assert iou == [0, 1]


def test_of_places_that_are_as_deep_the_first_is_clicked_whatever_the_machine() -> None:
    """OpenCV's distances differ in their last digit with the number of its threads, and between places that are as deep."""
    random, threads = np.random.default_rng(0), cv2.getNumThreads()
    shape = cv2.GaussianBlur(random.random((150, 170)), (0, 0), 5) > 0.5
    wanted = Wanted(shape, np.ones_like(shape), 1)
    found = list[list[Click]]()
    for number in (1, 2):
        cv2.setNumThreads(number)
        clicks = list[Click]()
        while len(clicks) < 200 and (click := clicking.find_next(np.zeros_like(shape), wanted, clicks)) is not None:
            clicks.append(click)
        found.append(clicks)
    cv2.setNumThreads(threads)
    assert found[0] == found[1]
    depths = ndimage.distance_transform_edt(np.pad(shape, 1))[1:-1, 1:-1].round(9)
    expected = sorted(np.argwhere(shape).tolist(), key=lambda place: (-depths[tuple(place)], *place))
    assert [[click.row, click.column] for click in found[0]] == expected[:200]


def after(count: int) -> Answer:
    """The thing, once it has so many clicks; before, half of it."""

    def answer(given: Sequence[Click]) -> Mask:
        return THING.shape if len(given) >= count else box(2, 2, 7, 4)

    return answer


@pytest.mark.parametrize("count", [1, 3])
def test_clicks_end_when_nothing_is_wrong(count: int) -> None:
    clicks, iou, selected = clicking.click_through(after(count), THING, start=EMPTY, most=20)
    assert iou == [0] + [0.4] * (count - 1) + [1] and len(clicks) == count and np.array_equal(selected, THING.shape)
    assert len(set(clicks)) == count, "each is on another pixel"


def test_clicks_end_after_the_most_that_there_may_be() -> None:
    clicks, iou, _ = clicking.click_through(after(99), THING, start=EMPTY, most=4)
    assert len(clicks) == 4 and iou == [0] + [0.4] * 4


def test_the_first_click_is_on_what_is_most_wrong_with_the_start() -> None:
    [click], iou, selected = clicking.click_through(lambda _: THING.shape, THING, start=box(2, 2, 7, 12), most=5)
    assert click == Click(4, 9, False) and iou == [0.5, 1] and np.array_equal(selected, THING.shape)
    [click], iou, _ = clicking.click_through(lambda _: THING.shape, THING, start=box(2, 2, 7, 4), most=5)
    assert click == Click(3, 5, True) and iou == [0.4, 1]


def test_a_start_that_is_right_takes_no_click() -> None:
    unsure = Wanted(THING.shape, ~box(0, 8, 9, 13), 1)
    start = THING.shape | box(0, 8, 9, 13)
    clicks, iou, selected = clicking.click_through(after(1), unsure, start=start, most=5)
    assert clicks == [] and iou == [1] and np.array_equal(selected, start)
    assert clicking.find_first(unsure, clicking.MIDDLE) == Click(4, 4, True)


# What things have of labels already.


def test_each_part_of_labels_is_of_the_thing_of_its_class_that_most_of_it_is_of() -> None:
    left, right = Wanted(box(0, 0, 9, 4), ~EMPTY, 1), Wanted(box(0, 6, 9, 9), ~EMPTY, 1)
    labels = np.where(box(1, 2, 3, 8), 1, 0) + np.where(box(5, 3, 6, 8), 1, 0) + np.where(box(8, 4, 9, 6), 1, 0)
    labels[0:4, 11:13] = 2  # and no thing of that class
    labels[7, 10] = 255
    one, other = clicking.find_starts(labels.astype(np.uint8), [left, right], apart=True)
    assert np.array_equal(one, box(1, 2, 3, 8)), "two columns are of each: the first of equals"
    assert np.array_equal(other, box(5, 3, 6, 8)), "one column of the first, two of the second; what is of none is left out"


def test_a_thing_has_all_parts_of_it_and_those_that_touch_at_corners_are_one() -> None:
    thing, far = Wanted(box(0, 0, 9, 5), ~EMPTY, 3), Wanted(box(0, 8, 9, 13), ~EMPTY, 3)
    labels = np.where(box(0, 0, 2, 2) | box(4, 3, 5, 5) | box(5, 5, 6, 9), 3, 0).astype(np.uint8)  # the last two touch at a corner
    one, other = clicking.find_starts(labels, [thing, far], apart=True)
    assert np.array_equal(one, labels == 3) and not other.any()
    apart = Wanted(thing.shape, ~EMPTY, 4)
    assert not any(start.any() for start in clicking.find_starts(labels, [apart], apart=True)), "of another class"
    assert clicking.find_starts(labels, [], apart=True) == []


def test_a_whole_class_has_all_that_is_labelled_so_wherever_it_is() -> None:
    whole = Wanted(box(0, 0, 9, 4), ~EMPTY, 1)
    labels = np.where(box(1, 2, 3, 8) | box(8, 10, 9, 12), 1, 0).astype(np.uint8)
    [start] = clicking.find_starts(labels, [whole], apart=False)
    assert np.array_equal(start, labels == 1)


def test_pixels_that_do_not_count_join_parts_and_are_not_counted() -> None:
    void = box(0, 4, 9, 9)
    left, right = Wanted(box(0, 0, 9, 4), ~void, 1), Wanted(box(0, 9, 9, 13), ~void, 1)
    labels = np.where(box(3, 3, 4, 11), 1, 0).astype(np.uint8)
    one, other = clicking.find_starts(labels, [left, right], apart=True)
    assert not one.any() and np.array_equal(other, labels == 1)


def test_things_are_clicked_by_size_without_crowds_and_what_is_all_void() -> None:
    void = box(0, 0, 1, 13)
    things = [TrueThing(box(3, 0, 4, 2), 2), TrueThing(void, 3), TrueThing(box(0, 4, 9, 6), 1), TrueThing(box(5, 5, 9, 9), 4, crowd=True)]
    wanted = clicking.list_wanted(TrueThings(tuple(things), void))
    assert [(one.label, int(one.shape.sum())) for one in wanted] == [(1, 16), (2, 2)]
    assert all(np.array_equal(one.counted, ~void) for one in wanted)


def test_an_oracle_takes_the_region_that_fits_best() -> None:
    vectors = np.random.default_rng(0).standard_normal((35, 3)).astype(np.float32)
    regions = ClickTree.on_pixels(ward.merge(vectors, ward.link_grid((5, 7))), (5, 7), 2, Alignment.RESIZED, SIZE)
    unsure = Wanted(THING.shape & ~box(2, 2, 3, 7), ~box(2, 2, 3, 7), 1)

    def fit(region: int) -> float:
        mask = regions.mask([region]) & unsure.counted
        return float((mask & unsure.shape).sum() / (mask | unsure.shape).sum())

    for row, column in ((4, 4), (8, 12)):
        expected = max(map(fit, regions.climb(int(regions.patches[row, column])))), max(map(fit, range(69)))
        assert clicking.find_best(regions, unsure, Click(row, column, True))[:2] == pytest.approx(expected)
    assert 0 < expected[0] < expected[1] < 1


def test_an_oracle_of_patches_takes_the_set_that_fits_best() -> None:
    regions = ClickTree.on_pixels(ward.merge(np.zeros((12, 1), np.float32), ward.link_grid((3, 4))), (3, 4), 4, Alignment.RESIZED, SIZE)
    unsure = Wanted(THING.shape & ~box(2, 2, 3, 7), ~box(2, 2, 3, 7), 1)
    expected = 0.0
    for chosen in range(1, 2**12):
        mask = regions.mask([patch for patch in range(12) if chosen >> patch & 1]) & unsure.counted
        expected = max(expected, float((mask & unsure.shape).sum() / (mask | unsure.shape).sum()))
    assert clicking.find_best(regions, unsure, Click(4, 4, True))[2] == pytest.approx(expected) and expected < 1


# Figures.


IOU = np.array([[0.5, 0.81, 0.86, 0.86], [0.9, 0.9, 1, 1], [0.1, 0.2, 0.3, 0.4]], np.float32)


def test_how_many_clicks_it_takes() -> None:
    iou = np.pad(IOU, ((0, 0), (1, 0)))
    figures = clicking.judge(iou, np.array([[0.5, 0.6, 0.7], [0.7, 0.8, 0.9], [0.3, 0.4, 0.5]], np.float32))
    expected = {
        "things": 3,
        "clicks_to_80": (2 + 1 + 4) / 3,
        "failures_at_80": 1,
        "clicks_to_85": (3 + 1 + 4) / 3,
        "failures_at_85": 1,
        "clicks_to_90": (4 + 1 + 4) / 3,
        "failures_at_90": 2,
        "iou_of_first_click": 0.5,
        "iou_of_last_click": (0.86 + 1 + 0.4) / 3,
        "best_around_first_click": 0.5,
        "best_region": 0.6,
        "best_patches": 0.7,
    }
    assert figures.keys() == expected.keys() and figures == pytest.approx(expected, abs=1e-4)
    numbers, means = zip(*clicking.average(iou), strict=True)
    assert numbers == (1, 2, 3, 4) and means == pytest.approx(IOU.mean(axis=0).tolist(), abs=1e-4)


def test_what_begins_with_enough_takes_no_click() -> None:
    iou = np.concatenate([np.array([[0.3], [0.87], [0]], np.float32), IOU], axis=1)
    figures, before = (clicking.judge(one, np.zeros((0, 3), np.float32)) for one in (iou, np.pad(IOU, ((0, 0), (1, 0)))))
    changed = {"iou_of_start": 0.39, "clicks_to_80": (2 + 0 + 4) / 3, "clicks_to_85": (3 + 0 + 4) / 3}
    assert figures == pytest.approx({**before, **changed}, abs=1e-4)
    assert clicking.average(iou)[0] == (0, 0.39) and clicking.average(iou)[1:] == clicking.average(np.pad(IOU, ((0, 0), (1, 0))))


def test_of_nothing_there_are_no_figures() -> None:
    assert clicking.judge(np.zeros((0, 21), np.float32), np.zeros((0, 3), np.float32)) == {"things": 0}
    assert clicking.average(np.zeros((0, 21), np.float32)) == []
