"""The whole pipeline on a few images: what every stage leaves, and that it does not matter who computes it."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed import images
from seedbed.artifacts import Artifact, open_artifact
from seedbed.errors import DataError
from tests.stages.miniature import STAGES, Project, tree

IDS = [*(f"train_{number:04d}" for number in range(6)), *(f"val_{number:04d}" for number in range(3))]


def opened(project: Project, name: str) -> Artifact:
    """An artifact of a project."""
    return open_artifact(name, folder=project.data)


def figures(project: Project) -> dict[str, Any]:
    """What the evaluation found."""
    content: dict[str, Any] = json.loads((project.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))
    return content


# --- What every stage leaves ---


@pytest.mark.parametrize("name", ["dataset", "features", "superpixels", "cams", "seeds", "refinement"])
def test_artifacts_have_every_image_in_the_data_set_s_order(finished: Project, name: str) -> None:
    artifact, data = opened(finished, name), opened(finished, "dataset")
    assert artifact.ids == data.ids == IDS
    assert [artifact.size(row) for row in range(9)] == [data.size(row) for row in range(9)]


def test_the_index_is_that_of_the_raw_images(finished: Project) -> None:
    data = opened(finished, "dataset")
    for row, image_id in enumerate(IDS):
        content = (finished.raw / "images" / f"{image_id}.png").read_bytes()
        assert data.whole("file")[row] == f"images/{image_id}.png"
        assert data.whole("digest")[row] == images.digest(content)
        assert data.size(row) == images.decode(content, where=image_id).shape[:2]
    assert all(height != width for height, width in map(data.size, range(9)))
    assert data.max_size == (72, 80)
    assert data.split("train") == [0, 1, 2, 3, 4, 5] and data.split("val") == [6, 7, 8]
    with (finished.raw / "labels.csv").open(encoding="utf-8") as stream:
        named = [set(line["labels"].split()) for line in csv.DictReader(stream)]
    names = [str(one) for one in data.whole("class_names")]
    assert [{names[label] for label in data.classes(row)} for row in range(9)] == named


def test_features_cover_every_image(finished: Project) -> None:
    features = opened(finished, "features")
    for row in range(9):
        patches = features.patches(row)
        height, width = features.size(row)
        expected = (math.ceil(height / patches.patch_size), math.ceil(width / patches.patch_size))
        assert patches.values.shape[:2] == expected
        assert np.isfinite(patches.values).all() and patches.values.any()


def test_regions_are_numbered_without_gaps(finished: Project) -> None:
    superpixels = opened(finished, "superpixels")
    for row in range(9):
        regions = superpixels.read("regions", row)
        assert regions.dtype == np.int32 and regions.shape == superpixels.size(row)
        assert np.unique(regions).tolist() == list(range(superpixels.whole("region_count")[row]))
    assert superpixels.whole("regions").min() == -1  # padding


def test_class_maps_are_of_the_image_s_classes(finished: Project) -> None:
    cams, data = opened(finished, "cams"), opened(finished, "dataset")
    for row in range(9):
        maps = cams.class_maps(row)
        assert maps.classes == data.classes(row) != ()
        assert all(single.max() == 1 or not single.any() for single in maps.maps) and maps.maps.min() >= 0
    scores = cams.whole("scores")
    assert scores.shape == (9, 7) and (scores[:, 0] == 0).all() and ((scores[:, 1:] > 0) & (scores[:, 1:] < 1)).all()


@pytest.mark.parametrize(("name", "others"), [("seeds", {0, 255}), ("refinement", {0})])
def test_labels_are_of_the_image_s_classes(finished: Project, name: str, others: set[int]) -> None:
    labels, data = opened(finished, name), opened(finished, "dataset")
    for row in range(9):
        read = labels.read("labels", row)
        assert read.dtype == np.uint8 and read.shape == data.size(row)
        assert set(np.unique(read).tolist()) <= {*data.classes(row), *others}


def test_predictions_are_of_their_split_alone_and_sum_to_one(finished: Project) -> None:
    predictions, data = opened(finished, "predictions"), opened(finished, "dataset")
    assert predictions.ids == IDS[6:]
    for row in range(3):
        assert predictions.size(row) == data.size(row + 6)
        maps = predictions.probabilities(row).maps
        assert maps.shape[0] == 7
        assert np.allclose(maps.sum(axis=0), 1, atol=5e-3)  # as float16


@pytest.mark.parametrize(("name", "steps"), [("classifier", 2), ("segmenter", 2)])
def test_networks_record_the_loss_of_every_step(finished: Project, name: str, steps: int) -> None:
    trained = opened(finished, name)
    assert trained.whole("loss").shape == (steps,)
    assert np.isfinite(trained.whole("loss")).all()
    assert all(np.isfinite(value).all() for value in trained.weights().values())


def test_artifacts_name_their_method_and_the_digests_of_what_they_were_made_from(finished: Project) -> None:
    expected = {
        "dataset": (),
        "features": ("dataset",),
        "superpixels": ("dataset", "features"),
        "classifier": ("dataset",),
        "cams": ("dataset", "classifier"),
        "seeds": ("dataset", "cams", "superpixels"),
        "refinement": ("dataset", "cams"),
        "segmenter": ("dataset", "refinement"),
        "predictions": ("dataset", "segmenter"),
        "evaluation": ("dataset", "cams", "seeds", "refinement", "superpixels", "predictions"),
    }
    params = finished.params()
    for name, inputs in expected.items():
        made_by = opened(finished, name).made_by
        assert made_by.stage == name
        assert made_by.method == params[name]["method"]
        assert json.loads(json.dumps(made_by.parameters)) == params[name][made_by.method]
        assert made_by.inputs == {one: opened(finished, one).digest for one in inputs}


def test_nothing_that_was_made_knows_where_it_lies(finished: Project) -> None:
    for name in STAGES:
        assert not any(str(finished.root).encode() in content for content in tree(finished.data / f"{name}.zarr").values())


# --- Evaluation ---

KINDS = ("class_maps", "seeds", "masks", "predictions", "predictions_crf")


def test_the_evaluation_reports_every_kind_of_labels(finished: Project) -> None:
    report = figures(finished)
    assert list(report) == ["classifier", "class_maps", "seeds", "masks", "predictions", "predictions_crf", "superpixels"]
    for kind in KINDS:
        expected = ["images", "images_with_truth", "miou", "false_positive_rate", "false_negative_rate", "coverage", "precision", "iou"]
        assert list(report[kind]) == expected
        assert report[kind]["images"] == report[kind]["images_with_truth"] == (3 if kind.startswith("predictions") else 6)
        assert list(report[kind]["iou"]) == ["background", "fish", "lizard", "bee", "tiger", "cow", "snail"]
        assert 0 <= report[kind]["miou"] <= 1
    assert report["masks"]["coverage"] == report["predictions"]["coverage"] == 1 > report["seeds"]["coverage"] > 0
    assert report["classifier"]["images"] == 3
    assert report["superpixels"]["images_with_truth"] == 6
    assert 0.5 < report["superpixels"]["achievable_segmentation_accuracy"] <= 1
    assert report["superpixels"]["undersegmentation_error"] > 0


def test_every_pixel_is_counted_for_every_kind(finished: Project) -> None:
    evaluation, data = opened(finished, "evaluation"), opened(finished, "dataset")
    kinds, ids = [str(one) for one in evaluation.whole("kind")], evaluation.ids
    assert sorted(zip(kinds, ids, strict=True)) == sorted(
        [(kind, image_id) for kind in KINDS for image_id in (IDS[6:] if kind.startswith("predictions") else IDS[:6])]
    )
    for row, image_id in enumerate(ids):
        assert evaluation.whole("confusion")[row].sum() == math.prod(data.size(data.row(image_id)))


def test_the_table_of_the_plot_repeats_the_figures(finished: Project) -> None:
    report = figures(finished)
    with (finished.data / "plots" / "iou.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(float(row["iou"]) == report[row["what"].split(": ")[0]]["iou"][row["what"].split(": ")[1]] for row in rows)


@pytest.mark.parametrize(("name", "columns"), [("training_images", 6), ("predictions", 4)])
def test_pictures_show_as_many_images_as_were_asked_for(finished: Project, name: str, columns: int) -> None:
    picture = cv2.imread(str(finished.data / "plots" / f"{name}.png"))
    assert picture is not None
    height, width = picture.shape[:2]
    assert 2 * 64 < height < 2 * 90 + 40
    assert columns * 64 < width < columns * 90


# --- It does not matter who computes it ---


def test_two_processes_make_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    again = finished.copy_to(tmp_path, without=["plots", "metrics"])
    stages = ("dataset", "features", "superpixels", "seeds", "refinement", "evaluation")  # the others keep their network in one process
    for stage in stages:
        shutil.rmtree(again.data / f"{stage}.zarr")
    again.run(*stages, workers=2)
    assert tree(again.data) == tree(finished.data)


# --- Without a truth ---


def test_without_masks_there_is_still_something_to_say(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path, without=["masks", "evaluation.zarr", "plots", "metrics"])
    project.run("evaluation")
    report, known = figures(project), figures(finished)
    for kind in KINDS:
        assert list(report[kind]) == ["images", "images_with_truth", "coverage"]
        assert report[kind]["images_with_truth"] == 0
        assert report[kind]["coverage"] == pytest.approx(known[kind]["coverage"], abs=0.02)  # a mean of images, not of pixels
    assert report["superpixels"] == {"images": 6, "images_with_truth": 0, "mean_count": known["superpixels"]["mean_count"]}
    assert report["classifier"] == known["classifier"]
    assert "iou" not in json.dumps(report)
    assert (project.data / "plots" / "iou.csv").read_text(encoding="utf-8") == "what,iou\n"
    assert len(opened(project, "evaluation")) == 0
    assert (project.data / "plots" / "training_images.png").is_file()


@pytest.mark.parametrize("missing", ["train_0000", "train_0001"])
def test_where_some_masks_are_missing_the_others_count(finished: Project, tmp_path: Path, missing: str) -> None:
    project = finished.copy_to(tmp_path, without=["evaluation.zarr", "plots", "metrics"])
    (project.raw / "masks" / f"{missing}.png").unlink()
    project.run("evaluation")
    report = figures(project)
    assert report["masks"]["images"] == 6 and report["masks"]["images_with_truth"] == 5
    assert report["superpixels"]["images_with_truth"] == 5
    drawn, whole = (np.asarray(cv2.imread(str(one.data / "plots" / "training_images.png"))) for one in (project, finished))
    assert drawn.shape == whole.shape  # with a column for the truth


def test_an_image_that_changed_since_it_was_indexed_stops_a_stage(own: Project) -> None:
    path = own.raw / "images" / "train_0003.png"
    path.write_bytes((own.raw / "images" / "train_0002.png").read_bytes())
    with pytest.raises(DataError, match=r"images/train_0003\.png: found another file than was indexed; .*run `dvc repro dataset`"):
        own.run("features")
    assert not (own.data / "features.zarr").exists()
