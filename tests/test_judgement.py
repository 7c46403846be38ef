"""From counts per image to figures of a whole evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedbed import judgement
from seedbed.artifacts import Artifact
from seedbed.judgement import Chosen
from seedbed.types import LabelMap, RegionMap
from tests.publishing import published

NAMES = ["background", "cat", "dog"]
KINDS = ("seeds", "masks", "predictions")
TRUTH = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
LABELS = np.array([[0, 255, 1], [0, 0, 1]], np.uint8)
REGIONS = np.array([[0, 0, 1], [0, 0, 1]], np.int32)


def judge(truth: LabelMap | None, *, regions: RegionMap | None = REGIONS, **kinds: LabelMap) -> dict[str, Any]:
    return judgement.judge(truth, kinds, names=KINDS, num_classes=2, regions=regions)


@pytest.fixture
def figures(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Figures of images that were judged, by way of the artifact that holds them."""

    def of(**judged: Mapping[str, Any]) -> dict[str, Any]:
        rows = [{"ids": image, "size": (2, 3), **columns} for image, columns in judged.items()]
        extents = {"class": 3, "predicted": 4, "kind": len(KINDS), "overlap": judgement.OVERLAP}
        artifact: Artifact = published("evaluation", tmp_path, rows, whole={"kinds": KINDS}, extents=extents)
        return judgement.figures(artifact, NAMES)

    return of


def test_with_a_truth_pixels_are_counted() -> None:
    judged = judge(TRUTH, seeds=LABELS)
    assert judged["confusion"][0].tolist() == [[2, 0, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert judged["region_count"] == 2
    assert judged["region_overlap"].tolist() == [5, 2, 6]
    assert judged["with_truth"] is True


def test_without_a_truth_coverage_and_the_number_of_regions_are_known() -> None:
    judged = judge(None, masks=LABELS)
    assert judged["coverage"] == [0, pytest.approx(5 / 6), 0]
    assert not judged["confusion"].any() and not judged["region_overlap"].any()
    assert judged["region_count"] == 2
    assert judged["with_truth"] is False


def test_an_image_may_have_some_kinds_of_labels_only() -> None:
    judged = judge(TRUTH, predictions=TRUTH, masks=LABELS)
    assert judged["judged"] == [False, True, True]
    assert judged["confusion"].shape == (3, 3, 4)
    assert judged["confusion"].sum(axis=(1, 2)).tolist() == [0, 6, 6]


def test_without_regions_their_number_is_zero() -> None:
    judged = judge(TRUTH, regions=None, predictions=TRUTH)
    assert judged["region_count"] == 0 and judged["region_overlap"].tolist() == [0, 0, 0]


def test_figures_are_counted_over_all_images_with_a_truth(figures: Callable[..., dict[str, Any]]) -> None:
    report = figures(a=judge(TRUTH, seeds=LABELS), b=judge(None, seeds=LABELS), c=judge(TRUTH, seeds=TRUTH))
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


def test_without_any_truth_figures_keep_what_can_be_said(figures: Callable[..., dict[str, Any]]) -> None:
    report = figures(a=judge(None, seeds=LABELS), b=judge(None, seeds=TRUTH))
    assert report == {
        "seeds": {"images": 2, "images_with_truth": 0, "coverage": round(11 / 12, 4)},
        "superpixels": {"images": 2, "images_with_truth": 0, "mean_count": 2.0},
    }


def test_kinds_that_only_some_images_have_are_counted_over_those(figures: Callable[..., dict[str, Any]]) -> None:
    report = figures(a=judge(TRUTH, seeds=LABELS), b=judge(TRUTH, predictions=TRUTH))
    assert list(report) == ["seeds", "predictions", "superpixels"]
    assert report["seeds"]["images"] == report["predictions"]["images"] == 1
    assert report["predictions"]["miou"] == 1


def test_without_regions_nothing_is_said_of_them(figures: Callable[..., dict[str, Any]]) -> None:
    assert "superpixels" not in figures(a=judge(TRUTH, regions=None, predictions=TRUTH))


def test_images_whose_regions_are_not_judged_do_not_count_for_them(figures: Callable[..., dict[str, Any]]) -> None:
    report = figures(a=judge(TRUTH, seeds=LABELS), b=judge(TRUTH, regions=None, predictions=TRUTH))
    assert report["superpixels"]["images"] == report["superpixels"]["images_with_truth"] == 1
    assert report["superpixels"]["achievable_segmentation_accuracy"] == round(5 / 6, 4)


def test_figures_can_be_written_as_json(figures: Callable[..., dict[str, Any]]) -> None:
    report = figures(a=judge(np.full((2, 3), 255, np.uint8), seeds=LABELS))
    assert json.loads(json.dumps(report, allow_nan=False))["seeds"]["miou"] is None


def test_the_judgement_of_no_image_is_empty(figures: Callable[..., dict[str, Any]]) -> None:
    assert figures() == {}


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


def test_the_table_leaves_out_what_has_no_figure(figures: Callable[..., dict[str, Any]]) -> None:
    rows = list(judgement.iou_table(figures(a=judge(TRUTH, seeds=LABELS))))
    assert [what for what, _ in rows] == ["seeds: background", "seeds: cat"]


def test_whether_an_image_is_chosen_is_all_that_is_known_of_the_choice() -> None:
    chosen = Chosen(frozenset("abc"))
    assert "a" in chosen and "d" not in chosen
    assert chosen.key("a") == chosen.key("b") == Chosen(frozenset("a")).key("a") != chosen.key("d")
    assert chosen.only(["c", "d", "b"]) == Chosen(frozenset("bc"))
