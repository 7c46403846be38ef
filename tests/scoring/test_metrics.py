"""Figures with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedbed.scoring import metrics
from seedbed.types import ClassMaps

NAMES = ["background", "cat", "dog"]


def labels(*rows: str) -> npt.NDArray[np.uint8]:
    """A map from text: a digit is a class, a dot is 255."""
    return np.array([[255 if sign == "." else int(sign) for sign in row] for row in rows], np.uint8)


def counts(truth: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8]) -> metrics.Counts:
    """Confusion of two classes and background."""
    return metrics.confusion(truth, predicted, num_classes=2)


LABELS = st.sampled_from([0, 1, 2, 255])
MAPS = st.tuples(*[arrays.arrays(np.uint8, (4, 6), elements=LABELS)] * 2)


# --- Labels against labels ---


def test_confusion_counts_pixels_by_true_and_predicted_class() -> None:
    truth, predicted = labels("0011", "22.."), labels("0111", "2.0.")
    assert counts(truth, predicted).tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1]]


def test_pixels_without_a_truth_are_left_out() -> None:
    assert counts(labels("...", "..."), labels("012", "...")).sum() == 0


def test_figures_of_a_small_example() -> None:
    # background: 3 hit of 4 true, 4 predicted; cat: 1 of 2 true, 2 predicted
    summary = metrics.summary(counts(labels("000011"), labels("000110")), NAMES)
    assert summary["iou"] == {"background": 0.6, "cat": 0.3333, "dog": None}
    assert summary["miou"] == pytest.approx((3 / 5 + 1 / 3) / 2, abs=1e-4)
    assert summary["false_positive_rate"] == pytest.approx((1 / 5 + 1 / 3) / 2, abs=1e-4)
    assert summary["false_negative_rate"] == pytest.approx((1 / 5 + 1 / 3) / 2, abs=1e-4)
    assert summary["false_positive_rates"] == {"background": 0.2, "cat": 0.3333, "dog": None}
    assert summary["false_negative_rates"] == {"background": 0.2, "cat": 0.3333, "dog": None}
    assert summary["coverage"] == 1
    assert summary["precision"] == pytest.approx(4 / 6, abs=1e-4)
    assert summary["absent"] == ["dog"]


def test_identical_maps_are_perfect() -> None:
    summary = metrics.summary(counts(labels("0012", "0112"), labels("0012", "0112")), NAMES)
    assert summary["miou"] == summary["precision"] == summary["coverage"] == 1
    assert summary["false_positive_rate"] == summary["false_negative_rate"] == 0


def test_a_class_that_is_nowhere_has_no_figure_and_is_left_out_of_the_mean() -> None:
    summary = metrics.summary(counts(labels("0011"), labels("0000")), NAMES)
    assert summary["iou"] == {"background": 0.5, "cat": 0.0, "dog": None}
    assert summary["miou"] == 0.25
    assert summary["absent"] == ["dog"]
    overlaps = metrics.overlap(counts(labels("0011"), labels("0000")))
    assert overlaps.tolist() == [[2, 4], [0, 2], [0, 0]]
    assert np.isnan(metrics.intersection_over_union(overlaps)[2])


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    summary = metrics.summary(counts(labels("0000"), labels("0022")), NAMES)
    assert summary["iou"] == {"background": 0.5, "cat": None, "dog": 0.0}
    assert summary["false_positive_rates"]["dog"] == 1 and summary["false_negative_rates"]["dog"] == 0


def test_unlabelled_pixels_are_missed_but_not_wrong() -> None:
    summary = metrics.summary(counts(labels("0011"), labels("0.1.")), NAMES)
    assert summary["iou"] == {"background": 0.5, "cat": 0.5, "dog": None}
    assert summary["false_negative_rate"] == 0.5 and summary["false_positive_rate"] == 0
    assert summary["coverage"] == 0.5 and summary["precision"] == 1


@pytest.mark.filterwarnings("error")
def test_the_mean_of_no_figure_is_none() -> None:
    assert np.isnan(metrics.mean(np.array([np.nan, np.nan]))) and np.isnan(metrics.mean(np.zeros(0)))
    assert metrics.mean(np.array([0.25, np.nan, 0.75])) == 0.5


def test_nothing_to_count_gives_no_figures() -> None:
    summary = metrics.summary(counts(labels(".."), labels("01")), NAMES)
    assert summary["miou"] is None and summary["coverage"] is None and summary["precision"] is None
    assert summary["absent"] == NAMES


def test_images_are_counted_together_and_divided_once() -> None:
    first, second = counts(labels("0001"), labels("0000")), counts(labels("1"), labels("1"))
    assert metrics.summary(first + second, NAMES)["iou"]["cat"] == 0.5  # and not the mean of 0 and 1


@given(MAPS)
def test_shares_of_the_union_sum_to_one(maps: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]) -> None:
    counted = counts(*maps)
    for label in range(3):
        if counted[label].sum() + counted[:, label].sum() == 0:
            continue
        alone = np.zeros((2, 3), np.int64)  # this class against all others
        alone[1, 1] = counted[label, label]
        alone[1, 0] = counted[label].sum() - counted[label, label]
        alone[0, 1] = counted[:, label].sum() - counted[label, label]
        hit, missed, wrong = alone[1, 1], alone[1, 0], alone[0, 1]
        assert metrics.intersection_over_union(metrics.overlap(counted))[label] == pytest.approx(hit / (hit + missed + wrong))
    summary = metrics.summary(counted, NAMES)
    for name in NAMES:
        parts = [summary[part][name] for part in ("iou", "false_positive_rates", "false_negative_rates")]
        assert parts == [None] * 3 if name in summary["absent"] else sum(parts) == pytest.approx(1, abs=2e-4)
    if summary["miou"] is not None:
        assert summary["miou"] + summary["false_positive_rate"] + summary["false_negative_rate"] == pytest.approx(1, abs=2e-4)


@given(MAPS)
def test_every_pixel_with_a_truth_is_counted_once(maps: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]) -> None:
    truth, predicted = maps
    counted = counts(truth, predicted)
    assert counted.shape == (3, 4)
    assert counted.sum() == (truth != 255).sum()
    assert counted[:, 3].sum() == ((truth != 255) & (predicted == 255)).sum()


def test_rows_of_a_confusion_matrix_as_shares() -> None:
    shares = metrics.row_shares(counts(labels("00011"), labels("00111")))
    assert shares[:2].tolist() == [[pytest.approx(2 / 3), pytest.approx(1 / 3), 0, 0], [0, 1, 0, 0]]
    assert np.isnan(shares[2]).all()


@pytest.mark.parametrize(
    ("contained", "expected"), [((1, 2), 0), ((2,), 1), ((1,), 2), ((), 3)], ids=["both", "dog alone", "cat alone", "neither"]
)
def test_pixels_of_classes_that_the_image_does_not_contain(contained: tuple[int, ...], expected: int) -> None:
    assert metrics.label_violations(labels("0102", ".0.2"), contained) == expected


# --- Class maps against labels, at many thresholds ---


def at_threshold(maps: ClassMaps, threshold: float) -> npt.NDArray[np.uint8]:
    """Labels, written down as the rule is said: the class of the strongest map, or background where none exceeds the threshold."""
    made = np.zeros(maps.maps.shape[1:], np.uint8)
    for place in np.ndindex(made.shape):
        strongest = np.float32(threshold)
        for label, single in zip(maps.classes, maps.maps, strict=True):
            if single[place] > strongest:
                made[place], strongest = label, single[place]
    return made


def swept(maps: ClassMaps, truth: npt.NDArray[np.uint8], thresholds: npt.NDArray[np.float64]) -> list[Any]:
    """The sweep by counting anew at every threshold."""
    return [metrics.overlap(counts(truth, at_threshold(maps, one))).tolist() for one in thresholds]


LEVELS = st.sampled_from([0.0, 0.1, 0.2, 0.29, 0.3, 0.31, 0.5, 0.59, 0.6, 1.0]) | st.floats(0, 1, width=32)
THRESHOLDS = 0.01 * np.arange(60, dtype=np.float64)


@given(
    st.sampled_from([(), (1,), (2,), (1, 2)]).flatmap(
        lambda classes: st.tuples(st.just(classes), arrays.arrays(np.float32, (len(classes), 3, 5), elements=LEVELS.map(np.float32)))
    ),
    arrays.arrays(np.uint8, (3, 5), elements=LABELS),
)
def test_a_sweep_counts_as_if_every_threshold_were_counted_anew(
    maps: tuple[tuple[int, ...], npt.NDArray[np.float32]], truth: npt.NDArray[np.uint8]
) -> None:
    class_maps = ClassMaps(classes=maps[0], maps=maps[1])
    for thresholds in (THRESHOLDS, THRESHOLDS[30:31], THRESHOLDS[::59]):
        assert metrics.threshold_sweep(class_maps, truth, thresholds, num_classes=2).tolist() == swept(class_maps, truth, thresholds)


def test_a_sweep_by_hand() -> None:
    maps = ClassMaps(classes=(2,), maps=np.array([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]], np.float32))
    counted = metrics.threshold_sweep(maps, labels("000", "222"), np.array([0.05, 0.35, 0.45]), num_classes=2)
    assert counted.tolist() == [[[0, 3], [0, 0], [3, 6]], [[3, 3], [0, 0], [3, 3]], [[3, 4], [0, 0], [2, 3]]]


# --- Saliency ---


def test_objects_are_counted_by_what_is_said_of_them() -> None:
    objects = np.array([[0, 1, 255, 1, 0], [1, 255, 0, 1, 1]], np.uint8)
    truth = np.array([[0, 0, 0, 2, 2], [1, 1, 0, 255, 3]], np.uint8)
    counts = metrics.object_overlap(objects, truth)
    assert counts.tolist() == [[2, 1, 1], [1, 3, 1]]
    assert metrics.object_figures(counts) == {
        "object_iou": 0.5,
        "object_precision": 0.75,
        "object_recall": 0.6,
        "background_precision": 0.6667,
        "unknown": 0.2222,
    }


def test_without_objects_there_is_nothing_to_share() -> None:
    counts = metrics.object_overlap(np.full((2, 3), 255, np.uint8), np.full((2, 3), 255, np.uint8))
    assert not counts.any() and set(metrics.object_figures(counts).values()) == {None}


# --- Regions against labels ---


def region_figures(regions: npt.NDArray[np.int32], truth: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Achievable segmentation accuracy and undersegmentation error."""
    agreeing, leaking, total = metrics.region_overlap(regions, truth)
    return agreeing / total, leaking / total


def test_regions_that_are_the_truth_are_perfect() -> None:
    truth = labels("0011", "2211")
    assert region_figures(truth.astype(np.int32), truth) == (1, 0)


def test_one_region_achieves_the_largest_class() -> None:
    accuracy, error = region_figures(np.zeros((2, 4), np.int32), labels("0001", "1122"))
    assert accuracy == 3 / 8
    assert error == (3 + 3 + 2) / 8


def test_single_pixels_are_perfect() -> None:
    assert region_figures(np.arange(8, dtype=np.int32).reshape(2, 4), labels("0001", "1122")) == (1, 0)


def test_pixels_without_a_truth_count_neither_for_nor_against() -> None:
    regions = np.array([[0, 0, 0, 1]], np.int32)
    assert metrics.region_overlap(regions, labels("01..")).tolist() == [1, 2, 2]


@given(arrays.arrays(np.int32, (4, 6), elements=st.integers(0, 4)), arrays.arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 255])))
def test_with_two_segments_the_error_is_twice_what_cannot_be_achieved(regions: npt.NDArray[np.int32], truth: npt.NDArray[np.uint8]) -> None:
    agreeing, leaking, total = metrics.region_overlap(regions, truth)
    assert leaking == 2 * (total - agreeing)


def test_figures_of_regions() -> None:
    assert metrics.region_figures(np.array([5, 2, 6]), np.array([3, 4, 1, 8])) == {
        "achievable_segmentation_accuracy": 0.8333,
        "undersegmentation_error": 0.3333,
        "boundary_recall": 0.75,
        "boundary_precision": 0.125,
    }
    assert metrics.region_figures(np.array([6, 0, 6]), np.zeros(4, np.int64))["boundary_recall"] is None  # one class, no boundary


# --- Scores against labels ---


def test_average_precision_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    present = np.array([True, False, True, False])
    assert metrics.average_precision(scores, present) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_average_precision_does_not_depend_on_the_order_of_images() -> None:
    scores, present = np.array([0.6, 0.9, 0.7, 0.8], np.float32), np.array([False, True, True, False])
    assert metrics.average_precision(scores, present) == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.mark.parametrize("present", [[True, False, False, False], [False, False, False, True]])
def test_equal_scores_share_their_rank(present: list[bool]) -> None:
    assert metrics.average_precision(np.full(4, 0.5, np.float32), np.array(present)) == pytest.approx(1 / 4)


def test_a_class_that_no_image_contains_has_no_average_precision() -> None:
    assert np.isnan(metrics.average_precision(np.array([0.1, 0.2], np.float32), np.zeros(2, bool)))


def test_a_label_that_no_class_has_is_not_taken_for_none() -> None:
    truth = np.zeros((2, 3), np.uint8)
    for label in (3, 9, 254):
        with pytest.raises(ValueError, match="where there are 2 classes"):
            metrics.confusion(truth, np.full((2, 3), label, np.uint8), num_classes=2)
