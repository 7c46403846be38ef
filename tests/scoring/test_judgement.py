"""From counts per image to figures of a whole evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from seedbed.reads import read_total
from seedbed.scoring import judgement, metrics
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.judgement import Judge, Scores, Selection
from seedbed.store import schemas
from seedbed.store.artifact import Artifact
from seedbed.types import ClassMaps, LabelMap, RegionMap
from tests.support.publishing import published

NAMES = ["background", "cat", "dog"]
KINDS = ("class_maps", "seeds", "masks", "predictions")
TRUTH = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
LABELS = np.array([[0, 255, 1], [0, 0, 1]], np.uint8)
REGIONS = np.array([[0, 0, 1], [0, 0, 1]], np.int32)
MAPS = ClassMaps(classes=(1,), maps=np.array([[[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]]], np.float32))
BOUNDARIES = Boundaries(distance=2, share=0.02)
BOUNDS = (0.3,)
THRESHOLDS = np.array([0.05, 0.15, 0.25, 0.35])
JUDGE = Judge(KINDS, 2, BOUNDARIES, THRESHOLDS, BOUNDS, 3)


def judge(
    truth: LabelMap | None,
    *,
    contained: tuple[int, ...] | None = (1,),
    class_maps: ClassMaps | None = None,
    regions: RegionMap | None = REGIONS,
    objects: LabelMap | None = None,
    **kinds: LabelMap,
) -> dict[str, Any]:
    return JUDGE.columns(
        truth,
        kinds,
        size=TRUTH.shape,
        contained=contained,
        class_maps=class_maps,
        regions=regions,
        objects=objects,
        instances=None,
        true_instances=None,
        corrected=False,
    )


Judged = Callable[..., Scores]


@pytest.fixture
def verdict(tmp_path: Path) -> Judged:
    """The verdict on images that were judged, by way of the artifact that holds what was counted."""

    def of(*, threshold: float = 0.15, **judged: Mapping[str, Any]) -> Scores:
        rows = [{"ids": image, "size": (2, 3), **columns} for image, columns in judged.items()]
        extents = {"class": 3, "predicted": 4, "kind": len(KINDS), "other_kind": len(KINDS), "threshold": len(THRESHOLDS), "y": 2, "x": 3}
        extents |= {"thing_size": 2, "size_bound": 1, "instance": 3}
        whole = {"kinds": KINDS, "thresholds": THRESHOLDS, "threshold": threshold, "size_bounds": BOUNDS}
        return Scores(published("evaluation", tmp_path, rows, whole=whole, extents=extents), NAMES)

    return of


def test_with_a_truth_pixels_are_counted() -> None:
    judged = judge(TRUTH, seeds=LABELS)
    assert judged["confusion"][1].tolist() == [[2, 0, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert judged["boundary_overlap"][1].tolist() == [[2, 4], [2, 3], [0, 0]]  # so small an image is all band
    assert judged["region_count"] == 2
    assert judged["region_overlap"].tolist() == [5, 2, 6]
    assert judged["region_boundary"].tolist() == [4, 4, 4, 4]
    assert judged["with_truth"] is True
    assert not judged["sweep"].any()


def test_saliency_is_judged_where_there_is_some(verdict: Judged) -> None:
    objects = np.where(LABELS == 0, 0, 1).astype(np.uint8)
    with_truth, without = judge(TRUTH, objects=objects), judge(None, objects=objects)
    assert with_truth["saliency_judged"] and without["saliency_judged"] and not judge(TRUTH)["saliency_judged"]
    assert with_truth["objects"].sum() == (TRUTH != 255).sum() and not without["objects"].any()
    assert "saliency" not in verdict(a=judge(TRUTH)).figures and verdict(a=without).figures["saliency"] == {
        "images": 1,
        "images_with_truth": 0,
    }
    figures = verdict(a=with_truth, b=without, c=judge(TRUTH)).figures["saliency"]
    assert figures == {"images": 2, "images_with_truth": 1, **metrics.object_figures(with_truth["objects"])}


def test_an_image_s_own_figures_are_kept_for_whoever_looks_at_it() -> None:
    judged = judge(TRUTH, seeds=LABELS, masks=np.array([[0, 1, 1], [2, 1, 1]], np.uint8))
    assert judged["miou"].tolist() == [-1, pytest.approx((2 / 4 + 2 / 3) / 2), pytest.approx((1 / 3 + 3 / 4 + 0) / 3), -1]
    assert judged["boundary_miou"][[0, 3]].tolist() == [-1, -1] and (judged["boundary_miou"][1:3] > 0).all()
    assert judged["smallest"].tolist() == [0, 2, 1, 0]
    assert judged["disagreement"].tolist() == [[0, 0, 0, 0], [0, 0, 2 / 5, 0], [0, 2 / 5, 0, 0], [0, 0, 0, 0]]
    assert judged["by_size"].tolist() == [[[0, 0], [0, 0]], [[0, 0], [1, 2 / 3]], [[0, 0], [1, 0.75]], [[0, 0], [0, 0]]]


def test_without_a_truth_disagreement_and_the_smallest_thing_are_known() -> None:
    judged = judge(None, seeds=LABELS, masks=TRUTH)
    assert judged["miou"].tolist() == judged["boundary_miou"].tolist() == [-1] * 4 and not judged["by_size"].any()
    assert judged["smallest"].tolist() == [0, 2, 3, 0] and judged["disagreement"][1, 2] == pytest.approx(1 / 5)


def test_things_are_counted_by_their_size(verdict: Judged) -> None:
    small, large = np.array([[0, 0, 1], [0, 0, 0]], np.uint8), np.array([[1, 1, 1], [0, 0, 0]], np.uint8)
    figures = verdict(a=judge(small, masks=small), b=judge(large, masks=small), c=judge(large, masks=large)).figures["masks"]
    assert figures["things"] == {"below 0.3": {"count": 1, "iou": 1.0}, "from 0.3": {"count": 2, "iou": 0.6667}}


def test_class_maps_are_swept() -> None:
    judged = judge(TRUTH, class_maps=MAPS, masks=TRUTH)
    assert judged["sweep"][:, :2].tolist() == [[[0, 3], [3, 6]], [[1, 3], [3, 5]], [[3, 3], [3, 3]], [[3, 5], [1, 3]]]


def test_without_a_truth_coverage_and_the_number_of_regions_are_known() -> None:
    judged = judge(None, masks=LABELS, class_maps=MAPS)
    assert judged["coverage"].tolist() == [0, 0, pytest.approx(5 / 6), 0]
    for name in ("confusion", "boundary_overlap", "sweep", "region_overlap", "region_boundary"):
        assert not judged[name].any()
    assert judged["region_count"] == 2
    assert judged["with_truth"] is False


def test_an_image_may_have_some_kinds_of_labels_only() -> None:
    judged = judge(TRUTH, predictions=TRUTH, masks=LABELS)
    assert judged["judged"] == [False, False, True, True]
    assert judged["confusion"].shape == (4, 3, 4)
    assert judged["confusion"].sum(axis=(1, 2)).tolist() == [0, 0, 6, 6]


def test_labels_are_held_against_the_classes_of_the_image() -> None:
    judged = judge(None, contained=(2,), seeds=LABELS, masks=TRUTH, predictions=2 * TRUTH)
    assert judged["violations"].tolist() == [0, 2, 3, 0]
    assert judged["with_labels"] is True
    unknown = judge(None, contained=None, masks=TRUTH)
    assert not unknown["violations"].any() and unknown["with_labels"] is False


def test_without_regions_their_number_is_zero() -> None:
    judged = judge(TRUTH, regions=None, predictions=TRUTH)
    assert judged["region_count"] == 0 and judged["region_overlap"].tolist() == [0, 0, 0]


def test_of_labels_those_after_the_crf_are_kept() -> None:
    judge = Judge((*KINDS, "predictions_crf"), 2, BOUNDARIES, THRESHOLDS, BOUNDS, 3)
    kept = judge.columns(
        TRUTH,
        {"predictions": TRUTH, "predictions_crf": 2 * TRUTH},
        size=TRUTH.shape,
        contained=None,
        class_maps=None,
        regions=None,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )
    assert kept["refined"].tolist() == (2 * TRUTH).tolist()
    others = judge.columns(
        TRUTH,
        {"masks": TRUTH},
        size=TRUTH.shape,
        contained=None,
        class_maps=None,
        regions=None,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )
    assert others["refined"].tolist() == np.full((2, 3), 255).tolist()


def test_figures_are_counted_over_all_images_with_a_truth(verdict: Judged) -> None:
    report = verdict(a=judge(TRUTH, seeds=LABELS), b=judge(None, seeds=LABELS), c=judge(TRUTH, seeds=TRUTH)).figures
    assert report["seeds"]["images"] == 3 and report["seeds"]["images_with_truth"] == 2
    assert report["seeds"]["iou"] == {"background": round(5 / 7, 4), "cat": round(5 / 6, 4), "dog": None}
    assert report["seeds"]["absent"] == ["dog"]
    assert report["seeds"]["boundary_iou"] == {"background": round(5 / 7, 4), "cat": round(5 / 6, 4), "dog": None}
    assert report["seeds"]["boundary_miou"] == round((5 / 7 + 5 / 6) / 2, 4)
    assert report["seeds"]["coverage"] == round(11 / 12, 4)
    assert report["superpixels"] == {
        "images": 3,
        "images_with_truth": 2,
        "mean_count": 2.0,
        "achievable_segmentation_accuracy": round(5 / 6, 4),
        "undersegmentation_error": round(2 / 6, 4),
        "boundary_recall": 1.0,
        "boundary_precision": 1.0,
    }


def test_the_number_of_regions_is_a_mean_of_two_decimals(verdict: Judged) -> None:
    rows = {"a": REGIONS, "b": REGIONS, "c": np.zeros((2, 3), np.int32)}
    made = verdict(**{image: judge(None, regions=regions, seeds=LABELS) for image, regions in rows.items()})
    assert made.figures["superpixels"]["mean_count"] == 1.67  # of 2, 2 and 1


def test_whether_an_image_is_selected_is_part_of_what_is_known_of_it() -> None:
    selected = Selection(frozenset({"a", "b"}))
    assert [selected.key(image) for image in "abc"] == ["True", "True", "False"]
    assert [image in selected for image in "abc"] == [True, True, False]
    assert selected.only(["b", "c"]) == Selection(frozenset({"b"}))


def test_without_any_truth_figures_keep_what_can_be_said(verdict: Judged) -> None:
    without = verdict(a=judge(None, seeds=LABELS), b=judge(None, seeds=TRUTH, contained=(2,)), c=judge(None, seeds=TRUTH, contained=None))
    assert without.figures == {
        "seeds": {
            "images": 3,
            "images_with_truth": 0,
            "coverage": round(17 / 18, 4),
            "images_with_labels": 2,
            "label_violations": 1,
            "label_violation_rate": 0.5,
            "label_violation_area": 0.25,
        },
        "superpixels": {"images": 3, "images_with_truth": 0, "mean_count": 2.0},
    }
    assert without.confusions == {} and list(without.curve()) == []


def test_without_any_known_class_nothing_is_said_of_violations(verdict: Judged) -> None:
    report = verdict(a=judge(None, seeds=LABELS, contained=None)).figures
    assert report["seeds"] == {"images": 1, "images_with_truth": 0, "coverage": round(5 / 6, 4)}


def test_kinds_that_only_some_images_have_are_counted_over_those(verdict: Judged) -> None:
    made = verdict(a=judge(TRUTH, seeds=LABELS), b=judge(TRUTH, predictions=TRUTH))
    assert list(made.figures) == [*made.confusions, "superpixels"] == ["seeds", "predictions", "superpixels"]
    assert made.figures["seeds"]["images"] == made.figures["predictions"]["images"] == 1
    assert made.figures["predictions"]["miou"] == made.figures["predictions"]["boundary_miou"] == 1
    assert made.confusions["predictions"].tolist() == [[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 0]]


def test_without_regions_nothing_is_said_of_them(verdict: Judged) -> None:
    assert "superpixels" not in verdict(a=judge(TRUTH, regions=None, predictions=TRUTH)).figures


def test_images_whose_regions_are_not_judged_do_not_count_for_them(verdict: Judged) -> None:
    report = verdict(a=judge(TRUTH, seeds=LABELS), b=judge(TRUTH, regions=None, predictions=TRUTH)).figures
    assert report["superpixels"]["images"] == report["superpixels"]["images_with_truth"] == 1
    assert report["superpixels"]["achievable_segmentation_accuracy"] == round(5 / 6, 4)


def test_the_judgement_of_no_image_is_empty(verdict: Judged) -> None:
    made = verdict()
    assert made.figures == {} and list(made.curve()) == []
    assert read_total(made.judged, "confusion").tolist() == np.zeros((4, 3, 4)).tolist()


@pytest.mark.parametrize("shard_images", [1, 2, 64])
def test_counts_are_summed_over_all_images_however_they_lie(verdict: Judged, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    images = {"a": judge(TRUTH, seeds=LABELS), "b": judge(None, seeds=LABELS), "c": judge(TRUTH, masks=TRUTH, class_maps=MAPS)}
    made = verdict(**images).judged
    for name in ("confusion", "boundary_overlap", "sweep"):
        assert read_total(made, name).tolist() == np.sum([one[name] for one in images.values()], axis=0).tolist()


# --- Images ---


def test_images_are_listed_from_the_worst_on_and_equals_in_order(verdict: Judged) -> None:
    made = verdict(
        right=judge(TRUTH, predictions=TRUTH),
        b=judge(TRUTH, predictions=LABELS),
        unknown=judge(None, predictions=LABELS),
        a=judge(TRUTH, predictions=LABELS, seeds=TRUTH),
        void=judge(np.full_like(TRUTH, 255), predictions=LABELS),
        missed=judge(TRUTH, predictions=np.zeros_like(TRUTH)),
    )
    middle = (2 / 4 + 2 / 3) / 2  # of background and cat; the dog, neither there nor predicted, does not count
    assert made.worst("predictions") == [("missed", 0.25), ("b", middle), ("a", middle), ("right", 1.0)]
    assert made.miou("a", "predictions") == middle and np.isnan(made.miou("void", "predictions"))
    assert made.worst("masks") == []
    assert list(made.image_table()) == [
        ("seeds", "a", 1.0, 1.0),
        ("predictions", "missed", 0.25, 0.25),
        ("predictions", "b", 0.5833, 0.5833),
        ("predictions", "a", 0.5833, 0.5833),
        ("predictions", "right", 1.0, 1.0),
    ]


def test_a_class_that_is_only_predicted_counts_in_its_image(verdict: Judged) -> None:
    labels = np.where(TRUTH == 1, 2, 0).astype(np.uint8)
    assert verdict(a=judge(TRUTH, predictions=labels)).worst("predictions") == [("a", 1 / 3)]


@pytest.mark.parametrize("shard_images", [1, 2, 64])
def test_images_are_ranked_the_same_however_they_lie(verdict: Judged, monkeypatch: pytest.MonkeyPatch, shard_images: int) -> None:
    monkeypatch.setattr(schemas, "SHARD_IMAGES", shard_images)
    made = verdict(a=judge(TRUTH, masks=TRUTH), b=judge(TRUTH, masks=LABELS), c=judge(TRUTH, masks=1 - TRUTH))
    assert [image for image, _ in made.worst("masks")] == ["c", "b", "a"]


def test_of_no_image_there_is_nothing_to_list(verdict: Judged) -> None:
    assert verdict().worst("masks") == [] == list(verdict().image_table())


# --- Thresholds ---


def labels_at(threshold: float) -> LabelMap:
    return np.where(MAPS.maps[0] > np.float32(threshold), 1, 0).astype(np.uint8)


def of_class_maps(truth: LabelMap | None, threshold: float) -> dict[str, Any]:
    """An image of which there are class maps, and their labels at a declared threshold."""
    return JUDGE.columns(
        truth,
        {"class_maps": labels_at(threshold)},
        size=TRUTH.shape,
        contained=(1,),
        class_maps=MAPS,
        regions=None,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )


def test_the_oracle_is_the_best_of_all_thresholds(verdict: Judged) -> None:
    report = verdict(a=of_class_maps(TRUTH, 0.15)).figures["class_maps"]
    assert report["miou"] == round((1 / 3 + 3 / 5) / 2, 4)
    assert report["oracle"] == {"threshold": 0.25, "miou": 1.0}


def test_of_equally_good_thresholds_the_oracle_takes_the_lowest(verdict: Judged) -> None:
    none = np.zeros((2, 3), np.uint8)
    flat = ClassMaps(classes=(1,), maps=np.full((1, 2, 3), 0.2, np.float32))
    judged = JUDGE.columns(
        none,
        {"class_maps": none},
        size=TRUTH.shape,
        contained=(1,),
        class_maps=flat,
        regions=None,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )
    assert verdict(a=judged).oracle == {"threshold": 0.25, "miou": 1.0}


def test_the_oracle_has_one_threshold_for_all_images(verdict: Judged) -> None:
    made = verdict(a=of_class_maps(TRUTH, 0.15), b=of_class_maps(labels_at(0.05), 0.15))
    together = np.concatenate([TRUTH, labels_at(0.05)])
    each = [metrics.overlap(metrics.confusion(together, np.tile(labels_at(one), (2, 1)), num_classes=2)) for one in THRESHOLDS]
    expected = [float(np.nanmean(metrics.intersection_over_union(one))) for one in each]
    assert made.swept == pytest.approx(expected)
    assert made.oracle == {"threshold": THRESHOLDS[int(np.argmax(expected))], "miou": round(max(expected), 4)}


def test_the_curve_marks_the_declared_threshold_and_the_oracle_s(verdict: Judged) -> None:
    made = verdict(a=of_class_maps(TRUTH, 0.15))
    assert list(made.curve()) == [(0.05, 0.25, ""), (0.15, 0.4667, "declared"), (0.25, 1.0, "oracle"), (0.35, 0.4667, "")]


def test_a_declared_threshold_beside_the_sweep_is_a_point_of_its_own(verdict: Judged) -> None:
    made = verdict(a=of_class_maps(TRUTH, 0.2), threshold=0.2)
    assert [point for point in made.curve() if point[2]] == [(0.2, 1.0, "declared"), (0.25, 1.0, "oracle")]


def test_a_declared_threshold_can_be_the_best(verdict: Judged) -> None:
    made = verdict(a=of_class_maps(TRUTH, 0.25), threshold=0.25)
    assert [point for point in made.curve() if point[2]] == [(0.25, 1.0, "declared, oracle")]


def test_a_truth_that_is_void_has_neither_figures_nor_oracle(verdict: Judged) -> None:
    made = verdict(a=of_class_maps(np.full((2, 3), 255, np.uint8), 0.15))
    report = json.loads(json.dumps(made.figures, allow_nan=False))["class_maps"]
    assert report["miou"] is report["boundary_miou"] is None and report["absent"] == NAMES
    assert report["oracle"] == {"threshold": None, "miou": None}
    assert list(made.curve()) == []


# --- The classifier ---


def test_the_classifier_is_judged_class_by_class_without_background() -> None:
    scores = np.array([[0, 0.9, 0.1], [0, 0.8, 0.2], [0, 0.7, 0.3]], np.float32)
    labels = np.array([[True, True, False], [True, False, False], [True, True, False]])
    assert judgement.summarise_classifier(scores, labels, NAMES) == {
        "images": 3,
        "mean_average_precision": round((1 + 2 / 3) / 2, 4),
        "average_precision": {"cat": round((1 + 2 / 3) / 2, 4), "dog": None},
    }


def test_the_classifier_is_judged_on_images_that_have_scores(tmp_path: Path) -> None:
    """Scores belong to their image, wherever it stands among class maps and in the data set."""
    rows = [
        {"ids": name, "size": (2, 3), "scores": scores, "present": [False, True, False], "maps": np.zeros((3, 1, 1), np.float16)}
        for name, scores in (("b", [0, 0.2, 0.9]), ("a", [0, 0.8, 0.1]))
    ]
    maps = published("cams", tmp_path / "maps", rows, extents={"y": 2, "x": 3, "class": 3, "map_y": 1, "map_x": 1})
    data = LabelledData({"a": [True, True, False], "unseen": [True, False, True], "b": [True, False, True]})
    assert judgement.judge_classifier(maps, cast(Artifact, data), ["unseen", "a", "b"]) == {
        "images": 2,
        "mean_average_precision": 1.0,
        "average_precision": {"cat": 1.0, "dog": 1.0},
    }
    assert judgement.judge_classifier(maps, cast(Artifact, data), []) == {}
    assert judgement.judge_classifier(None, cast(Artifact, data), ["a"]) == {}


@dataclass(frozen=True)
class LabelledData:
    """What the judgement of a classifier asks a data set."""

    labels: Mapping[str, list[bool]]
    class_names: tuple[str, ...] = tuple(NAMES)

    def row(self, image: str) -> int:
        return list(self.labels).index(image)

    def array(self, name: str) -> Any:
        assert name == "labels"
        return np.array(list(self.labels.values()))


def test_class_maps_without_a_truth_have_no_oracle(verdict: Judged) -> None:
    judged = JUDGE.columns(
        None,
        {"class_maps": LABELS},
        size=TRUTH.shape,
        contained=(1,),
        class_maps=None,
        regions=None,
        objects=None,
        instances=None,
        true_instances=None,
        corrected=False,
    )
    made = verdict(a=judged)
    assert "oracle" not in made.figures["class_maps"]


def test_a_classifier_of_classes_that_are_nowhere_has_no_figure() -> None:
    report = judgement.summarise_classifier(np.zeros((1, 3), np.float32), np.array([[True, False, False]]), NAMES)
    assert report["mean_average_precision"] is None


# --- Tables ---


def test_the_table_leaves_out_what_has_no_figure(verdict: Judged) -> None:
    rows = list(judgement.tabulate_iou(verdict(a=judge(TRUTH, seeds=LABELS)).figures))
    assert [what for what, _ in rows] == ["seeds: background", "seeds: cat"]


def test_the_table_of_a_confusion_matrix_has_shares_of_the_true_class() -> None:
    counts = metrics.confusion(TRUTH, LABELS, num_classes=2)
    rows = list(judgement.tabulate_confusion(counts, NAMES))
    assert rows[:4] == [
        ("background", "background", 0.6667, 2),
        ("background", "cat", 0.0, 0),
        ("background", "dog", 0.0, 0),
        ("background", "unlabelled", 0.3333, 1),
    ]
    assert [row[0] for row in rows] == ["background"] * 4 + ["cat"] * 4, "of a dog there is no pixel"


def test_whether_an_image_is_chosen_is_all_that_is_known_of_the_choice() -> None:
    chosen = Selection(frozenset("abc"))
    assert "a" in chosen and "d" not in chosen
    assert chosen.key("a") == chosen.key("b") == Selection(frozenset("a")).key("a") != chosen.key("d")
    assert chosen.only(["c", "d", "b"]) == Selection(frozenset("bc"))


def test_predicted_images_are_those_of_the_predictions(tmp_path: Path) -> None:
    columns = {"size": (2, 3), "map_size": (2, 3)}
    maps = [{"ids": one, **columns, "scores": [0, 1, 0], "present": [False] * 3, "maps": np.zeros((3, 2, 3))} for one in "ab"]
    extents = {"class": 3, "map_y": 2, "map_x": 3}
    class_maps = published("cams", tmp_path, maps, extents=extents)
    predictions = published("predictions", tmp_path, [{"ids": "c", **columns, "probabilities": np.zeros((3, 2, 3))}], extents=extents)
    assert judgement.Judged(class_maps, {}, None, None, None, predictions).predicted == ["c"]
    assert judgement.Judged(class_maps, {}, None, None, None, None).predicted == []


def test_what_is_judged_is_known_by_all_that_there_is_of_an_image() -> None:
    def artifact(name: str) -> Artifact:
        return cast(Artifact, SimpleNamespace(key=lambda image: f"{name} of {image}"))

    judged = judgement.Judged(artifact("maps"), {"masks": artifact("masks")}, None, None, None, artifact("predictions"))
    assert json.loads(judged.key("a")) == {"class_maps": "maps of a", "predictions": "predictions of a", "masks": "masks of a"}
