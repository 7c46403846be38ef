"""From counts per image to figures of a whole evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seedbed import judgement
from seedbed.judgement import Judged
from seedbed.types import LabelMap

NAMES = ["background", "cat", "dog"]
TRUTH = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
LABELS = np.array([[0, 255, 1], [0, 0, 1]], np.uint8)
REGIONS = np.array([[0, 0, 1], [0, 0, 1]], np.int32)


def judge(image_id: str, truth: LabelMap | None, **kinds: LabelMap) -> Judged:
    return judgement.judge(image_id, truth, kinds, num_classes=2, regions=REGIONS)


def test_with_a_truth_pixels_are_counted() -> None:
    judged = judge("a", TRUTH, seeds=LABELS)
    assert judged.confusions["seeds"].tolist() == [[2, 0, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert judged.region_count == 2
    assert judged.region_overlap is not None and judged.region_overlap.tolist() == [5, 2, 6]


def test_without_a_truth_coverage_and_the_number_of_regions_are_known() -> None:
    judged = judge("a", None, seeds=LABELS)
    assert judged.coverage == {"seeds": pytest.approx(5 / 6)}
    assert judged.confusions == {} and judged.region_overlap is None
    assert judged.region_count == 2


def test_figures_are_counted_over_all_images_with_a_truth() -> None:
    report = judgement.figures([judge("a", TRUTH, seeds=LABELS), judge("b", None, seeds=LABELS), judge("c", TRUTH, seeds=TRUTH)], NAMES)
    assert report["seeds"]["images"] == 3 and report["seeds"]["images_with_truth"] == 2
    assert report["seeds"]["iou"] == {"background": round(5 / 7, 4), "cat": round(5 / 6, 4), "dog": None}
    assert report["seeds"]["coverage"] == round(11 / 12, 4)
    assert report["superpixels"] == {
        "images": 3,
        "images_with_truth": 2,
        "mean_count": 2.0,
        "achievable_segmentation_accuracy": round(5 / 6, 4),
        "undersegmentation_error": round(2 / 6, 4),
    }


def test_without_any_truth_figures_keep_what_can_be_said() -> None:
    report = judgement.figures([judge("a", None, seeds=LABELS), judge("b", None, seeds=TRUTH)], NAMES)
    assert report == {
        "seeds": {"images": 2, "images_with_truth": 0, "coverage": round(11 / 12, 4)},
        "superpixels": {"images": 2, "images_with_truth": 0, "mean_count": 2.0},
    }


def test_kinds_that_only_some_images_have_are_counted_over_those() -> None:
    report = judgement.figures([judge("a", TRUTH, seeds=LABELS), judge("b", TRUTH, predictions=TRUTH)], NAMES)
    assert list(report) == ["seeds", "predictions", "superpixels"]
    assert report["seeds"]["images"] == report["predictions"]["images"] == 1
    assert report["predictions"]["miou"] == 1


def test_without_regions_nothing_is_said_of_them() -> None:
    judged = judgement.judge("a", TRUTH, {"predictions": TRUTH}, num_classes=2)
    assert "superpixels" not in judgement.figures([judged], NAMES)


def test_figures_can_be_written_as_json() -> None:
    report = judgement.figures([judge("a", np.full((2, 3), 255, np.uint8), seeds=LABELS)], NAMES)
    assert json.loads(json.dumps(report, allow_nan=False))["seeds"]["miou"] is None


def test_the_classifier_is_judged_class_by_class_without_background() -> None:
    scores = np.array([[0, 0.9, 0.1], [0, 0.8, 0.2], [0, 0.7, 0.3]], np.float32)
    labels = np.array([[True, True, False], [True, False, False], [True, True, False]])
    assert judgement.classifier_figures(scores, labels, NAMES) == {
        "images": 3,
        "mean_average_precision": round((1 + 2 / 3) / 2, 4),
        "average_precision": {"cat": round((1 + 2 / 3) / 2, 4), "dog": None},
    }


def test_a_classifier_of_classes_that_are_nowhere_has_no_figure() -> None:
    report = judgement.classifier_figures(np.zeros((1, 3), np.float32), np.array([[True, False, False]]), NAMES)
    assert report["mean_average_precision"] is None


def test_measurements_are_one_row_per_image_and_kind() -> None:
    rows = list(judgement.measurements([judge("a", TRUTH, seeds=LABELS, masks=TRUTH), judge("b", None, seeds=LABELS)]))
    assert [(row["ids"], row["kind"]) for row in rows] == [("a", "seeds"), ("a", "masks")]
    assert rows[1]["confusion"].shape == (3, 4)


def test_the_table_leaves_out_what_has_no_figure() -> None:
    report = judgement.figures([judge("a", TRUTH, seeds=LABELS)], NAMES)
    rows = list(judgement.iou_table(report))
    assert [what for what, _ in rows] == ["seeds: background", "seeds: cat"]
