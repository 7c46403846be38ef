"""Boundaries of labels and regions, with known answers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedbed.scoring.boundaries import Boundaries, FilledTruth, edges
from seedbed.types import IGNORE, LabelMap, RegionMap
from tests.scoring.test_metrics import labels

USUAL = Boundaries(distance=2, share=0.02)
REGIONS = arrays.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 12)), elements=st.integers(0, 3))
TRUTHS = arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


def partition(*rows: str) -> npt.NDArray[np.int32]:
    """Regions from text."""
    return labels(*rows).astype(np.int32)


def found(regions: npt.NDArray[np.int32], truth: LabelMap, how: Boundaries = USUAL) -> list[int]:
    """True boundary pixels that are met, all of them, region boundary pixels that meet one, all of them."""
    counts: list[int] = how.found(regions, FilledTruth.of(truth)).tolist()
    return counts


def shares(regions: npt.NDArray[np.int32], truth: LabelMap, how: Boundaries = USUAL) -> tuple[float, float]:
    """Recall and precision."""
    recalled, true, precise, drawn = found(regions, truth, how)
    return recalled / true, precise / drawn


def overlap(drawn: LabelMap, truth: LabelMap, how: Boundaries = USUAL, *, num_classes: int) -> list[list[int]]:
    """Pixels (class, intersection and union) of bands."""
    counts: list[list[int]] = how.overlap(drawn, FilledTruth.of(truth), num_classes=num_classes).tolist()
    return counts


# --- Which pixels are a boundary ---


def traced(regions: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Pixels on the contours that OpenCV finds of every label, pieces and holes. The image goes on as it ends, so its border is none."""
    found = np.zeros(regions.shape, bool)
    for label in np.unique(regions):
        mask = cv2.copyMakeBorder((regions == label).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        drawn = np.zeros(mask.shape, bool)
        for contour in contours:
            drawn[contour[:, 0, 1], contour[:, 0, 0]] = True
        found |= drawn[1:-1, 1:-1]
    return found


@given(REGIONS, st.integers(1, 3))
def test_edges_are_the_contours_that_opencv_finds(regions: npt.NDArray[np.int32], larger: int) -> None:
    regions = np.kron(regions, np.ones((larger, larger + 1), np.int32))
    assert np.array_equal(edges(regions), traced(regions))


def test_a_hole_has_an_edge_on_both_sides_and_the_border_of_the_image_has_none() -> None:
    pixels = edges(labels("00000", "00100", "00000"))
    assert np.argwhere(pixels).tolist() == [[0, 2], [1, 1], [1, 2], [1, 3], [2, 2]]
    assert not edges(labels("000", "000")).any()


# --- Recall and precision of regions ---


@given(arrays.arrays(np.uint8, (5, 8), elements=st.integers(0, 2)))
def test_regions_that_are_the_truth_have_its_boundary(truth: npt.NDArray[np.uint8]) -> None:
    assert found(truth.astype(np.int32), truth) == [edges(truth).sum()] * 4


@given(TRUTHS)
def test_single_pixels_miss_no_boundary(truth: npt.NDArray[np.uint8]) -> None:
    recalled, true, _, _ = found(np.arange(70, dtype=np.int32).reshape(7, 10), truth)
    assert recalled == true


def test_a_single_region_finds_nothing() -> None:
    assert found(np.zeros((2, 4), np.int32), labels("0011", "0011")) == [0, 4, 0, 0]


def test_a_truth_without_boundary_asks_for_none() -> None:
    assert found(partition("0011", "0011"), labels("1111", "1111")) == [0, 0, 0, 4]


def test_boundaries_meet_that_are_nearer_than_the_distance() -> None:
    truth, moved = labels("000111", "000111"), partition("011111", "011111")  # boundary columns 2, 3 and 0, 1
    assert found(moved, truth) == [2, 4, 2, 4]  # 1 and 2 are next to each other, 3 and 1 are exactly 2 apart
    assert shares(moved, truth, dataclasses.replace(USUAL, distance=2.1)) == (1, 1)
    assert shares(moved, truth, dataclasses.replace(USUAL, distance=1)) == (0, 0)


def test_the_distance_is_measured_straight() -> None:
    truth, regions = labels("1000", "0000", "0000"), partition("0000", "0000", "0001")
    true, drawn = np.argwhere(edges(truth)), np.argwhere(edges(regions))
    apart = np.linalg.norm(true[:, None] - drawn[None], axis=-1)
    for distance in (1.5, 2.0, 2.5, 3.0):
        expected = [(apart < distance).any(axis=1).sum(), len(true), (apart < distance).any(axis=0).sum(), len(drawn)]
        assert found(regions, truth, dataclasses.replace(USUAL, distance=distance)) == expected


def transcribed_counts(regions: RegionMap, truth: LabelMap, distance: float) -> list[int]:
    """Recall's and precision's counts as the dissertation writes them, all pairs of pixels compared."""
    true, drawn = np.argwhere(traced(truth)), np.argwhere(traced(regions))
    near = np.linalg.norm(true[:, None] - drawn[None], axis=-1) < distance
    return [int(near.any(axis=1).sum()), len(true), int(near.any(axis=0).sum()), len(drawn)]


@given(arrays.arrays(np.int32, (7, 10), elements=st.integers(0, 3)), arrays.arrays(np.uint8, (7, 10), elements=st.integers(0, 2)))
def test_without_void_recall_and_precision_are_those_of_the_dissertation(regions: RegionMap, truth: LabelMap) -> None:
    assert found(regions, truth) == transcribed_counts(regions, truth, 2)


# --- Boundary IoU ---


def transcribed_band(mask: npt.NDArray[np.bool_], share: float) -> npt.NDArray[np.bool_]:
    """The band of a mask as the paper's authors compute it in their released code: what repeated erosion by 3 x 3 takes away."""
    height, width = mask.shape
    dilation = max(1, round(share * math.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)[1:-1, 1:-1]
    return np.asarray(mask & (eroded == 0))


@given(
    arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 0, 0, 1, 2])),
    arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 0, 1, 2, 255])),
    st.sampled_from([0.01, 0.1, 0.2, 1]),
)
def test_bands_are_those_of_the_paper_s_own_code(truth: LabelMap, drawn: LabelMap, share: float) -> None:
    expected = []
    for label in range(3):
        first, second = (transcribed_band(one == label, share) for one in (truth, drawn))
        expected.append([(first & second).sum(), (first | second).sum()])
    assert overlap(drawn, truth, dataclasses.replace(USUAL, share=share), num_classes=2) == expected


def test_boundary_iou_by_hand() -> None:
    truth, drawn = (
        labels(*["0000000"] * 2, *["0011100"] * 3, *["0000000"] * 2),
        labels(*["0000000"] * 2, *["0001110"] * 3, *["0000000"] * 2),
    )
    assert USUAL.band_width(truth.shape) == 1
    # each ring has 8 pixels; the middle of one lies in the ring of the other, so of the 3 x 2 pixels in common, 2 are in one ring only
    assert overlap(drawn, truth, num_classes=1)[1] == [4, 12]


def test_the_width_of_bands_is_a_share_of_the_diagonal() -> None:
    assert [USUAL.band_width(size) for size in ((3, 4), (300, 400), (375, 500), (30, 40))] == [1, 10, 12, 1]


def test_unlabelled_pixels_have_no_band() -> None:
    assert overlap(labels("...", "..."), labels("011", "011"), num_classes=1) == [[0, 2], [0, 4]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_images_of_a_line_have_boundaries_too(size: tuple[int, int]) -> None:
    truth = (np.arange(size[0] * size[1]).reshape(size) > 2).astype(np.uint8)
    assert found(truth.astype(np.int32), truth) == [edges(truth).sum()] * 4
    assert np.sum(overlap(truth, truth, num_classes=1)) == 2 * truth.size


# --- Void ---


def outlined(thickness: int, *, size: tuple[int, int] = (60, 80)) -> tuple[LabelMap, LabelMap]:
    """Two objects that touch each other and one the border, and the same with every contour covered by void, as in PASCAL VOC.

    thickness: of void, in pixels.
    """
    objects = np.zeros(size, np.uint8)
    objects[10:40, 15:45], objects[20:50, 45:70], objects[52:, 5:30] = 1, 2, 3
    truth = objects.copy()
    contours = edges(objects).astype(np.uint8)  # two pixels wide
    grown = cv2.dilate(contours, np.ones((thickness - 1, thickness - 1), np.uint8)) if thickness > 2 else contours
    truth[grown > 0] = 255
    return objects, truth


def perfect(regions: npt.NDArray[np.int32], truth: LabelMap) -> bool:
    """Whether every boundary is found, and nothing else."""
    recalled, true, precise, drawn = found(regions, truth)
    return recalled == true > 0 and precise == drawn > 0


def boundary_iou(drawn: LabelMap, truth: LabelMap, *, num_classes: int = 3) -> npt.NDArray[np.float64]:
    """Of every class; NaN where it has no band."""
    intersection, union = np.array(overlap(drawn, truth, num_classes=num_classes)).T
    with np.errstate(invalid="ignore"):
        return np.asarray(intersection / union)


@pytest.mark.parametrize("thickness", [2, 3, 4, 5, 9])
def test_superpixels_that_are_the_objects_are_perfect_however_thick_void_is(thickness: int) -> None:
    objects, truth = outlined(thickness)
    assert perfect(objects.astype(np.int32), truth)


@pytest.mark.parametrize("thickness", [2, 3, 4, 5, 9])
def test_labels_that_are_the_objects_have_a_boundary_iou_of_1(thickness: int) -> None:
    objects, truth = outlined(thickness)
    assert boundary_iou(objects, truth).tolist() == [1, 1, 1, 1]


@given(TRUTHS, arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 1, 2, 255])))
def test_void_has_no_say(truth: LabelMap, other: LabelMap) -> None:
    answers = [np.where(truth == 255, fill, truth) for fill in (other, truth[::-1], np.uint8(255))]
    for answer in answers:  # all right wherever it is known what is right
        recalled, true, precise, drawn = found(answer.astype(np.int32), truth)
        assert recalled == true == precise == drawn
        intersection, union = np.array(overlap(answer, truth, num_classes=2)).T
        assert np.array_equal(intersection, union)


@given(TRUTHS, arrays.arrays(np.uint8, (7, 10), elements=st.sampled_from([0, 1, 2, 255])), REGIONS)
def test_what_an_answer_says_in_void_changes_nothing_wrong_as_it_may_be(truth: LabelMap, answer: LabelMap, inside: RegionMap) -> None:
    changed = np.where(truth == 255, np.resize(inside, truth.shape), answer).astype(np.uint8)
    assert found(changed.astype(np.int32), truth) == found(answer.astype(np.int32), truth)
    assert overlap(changed, truth, num_classes=2) == overlap(answer, truth, num_classes=2)


@given(TRUTHS)
def test_void_takes_what_the_nearest_known_pixel_has(truth: LabelMap) -> None:
    filled, places = FilledTruth.of(truth), np.arange(truth.size, dtype=np.int32).reshape(truth.shape)
    taken = filled.fill(places)
    known = np.argwhere(truth != 255)
    assert filled.known == bool(len(known))
    if not len(known):
        return
    for (y, x), place in np.ndenumerate(taken):
        source = np.array(np.unravel_index(place, truth.shape))
        assert truth[tuple(source)] == filled.classes[y, x] != 255
        assert np.hypot(*(source - (y, x))) == np.hypot(*(known - (y, x)).T).min()


def test_a_boundary_in_void_lies_in_its_middle() -> None:
    truth = labels("00....11", "00....11")
    assert np.argwhere(edges(FilledTruth.of(truth).classes))[:2].tolist() == [[0, 3], [0, 4]]
    for row in ("00011111", "00000111", "00234511"):  # wherever in void they end
        assert found(partition(row, row), truth) == [4, 4, 4, 4]


def test_regions_that_are_wrong_beside_void_miss_the_boundary_in_it() -> None:
    truth = labels("000....111", "000....111")
    wide, narrow = partition("0001111111", "0001111111"), partition("0011111111", "0011111111")
    assert shares(wide, truth) == (1, 1)
    assert found(narrow, truth) == [0, 4, 0, 4]  # its void is all 1, so its boundary is in columns 1 and 2


@pytest.mark.parametrize("step", [4, 9])
def test_labels_that_are_wrong_beside_void_are_less_than_perfect(step: int) -> None:
    objects, truth = outlined(5)
    moved = np.roll(objects, step, axis=1)
    assert (boundary_iou(moved, truth) < 1).all() and (boundary_iou(np.zeros_like(objects), truth) < 1).all()
    recall, precision = shares(moved.astype(np.int32), truth)
    assert recall < 1 and precision < 1


def test_a_single_wrong_pixel_is_seen() -> None:
    objects, truth = outlined(5)
    objects[25, 30] = 0  # in the middle of an object
    assert 0.9 < shares(objects.astype(np.int32), truth)[1] < 1
    assert boundary_iou(objects, truth)[1] < 1


def test_void_at_the_border_is_filled_from_inside() -> None:
    objects = labels(*["00111"] * 4)
    truth = labels(".....", ".0.1.", ".0.1.", ".....")
    assert perfect(objects.astype(np.int32), truth) and boundary_iou(objects, truth, num_classes=1).tolist() == [1, 1]


def test_a_single_pixel_of_void_is_filled_too() -> None:
    truth = np.full((3, 4), 1, np.uint8)
    truth[1, 2] = IGNORE
    assert np.array_equal(FilledTruth.of(truth).classes, np.ones((3, 4), np.uint8))


def test_an_island_of_void_has_no_boundary() -> None:
    truth = labels("00000", "0...0", "0...0", "00000")
    assert found(partition("00000", "01230", "04560", "00000"), truth) == [0, 0, 0, 0]
    assert overlap(labels("00000", "01110", "01110", "00000"), truth, num_classes=1) == [[14, 14], [0, 0]]


def test_unlabelled_pixels_are_missed_beside_void_too() -> None:
    truth = labels("00..11", "00..11")
    assert overlap(labels("00....", "00...."), truth, num_classes=1) == [[6, 6], [0, 6]]
    assert overlap(labels("00..11", "00..11"), truth, num_classes=1) == [[6, 6], [6, 6]]


@pytest.mark.parametrize("size", [(4, 6), (1, 1)])
def test_a_truth_that_is_all_void_counts_nothing(size: tuple[int, int]) -> None:
    truth = np.full(size, 255, np.uint8)
    assert found(np.arange(truth.size, dtype=np.int32).reshape(size), truth) == [0, 0, 0, 0]
    assert overlap(np.zeros(size, np.uint8), truth, num_classes=1) == [[0, 0], [0, 0]]
