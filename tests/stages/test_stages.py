"""The whole pipeline on a few images: what every stage leaves, and that it does not matter who computes it."""

from __future__ import annotations

import csv
import itertools
import json
import math
import operator
import os
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML
from torch import Tensor

from seedbed import evaluation as family
from seedbed import images, refinement
from seedbed.algorithms import crf
from seedbed.errors import DataError
from seedbed.images import Images
from seedbed.networks.cam_network import CamNetwork
from seedbed.params import Params
from seedbed.reads import (
    AllEvidence,
    Edges,
    Labels,
    Maps,
    Patches,
    Pictures,
    Regions,
    read_class_maps,
    read_entry,
    read_patches,
    read_probabilities,
)
from seedbed.report import drawing
from seedbed.report.drawing import TITLE_HEIGHT
from seedbed.run.machine import Place
from seedbed.scoring import metrics
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.records import WORK
from seedbed.types import Alignment
from stages.evaluation import label_predictions
from stages.refinement import refine
from tests.stages.miniature import CHECKOUT, CROWD, STAGES, Project, new_project, tree
from tests.support.devices import answer_on_cpu

KINDS = ("class_maps", "seeds", "masks", "predictions", "predictions_crf")
CHARTED = ("seeds", "masks", "predictions")
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
    assert [artifact.size(image) for image in IDS] == [data.size(image) for image in IDS]


@pytest.mark.parametrize("name", ["features", "superpixels", "cams", "seeds", "refinement", "predictions", "evaluation"])
def test_every_image_has_a_digest_of_its_own(finished: Project, name: str) -> None:
    artifact = opened(finished, name)
    keys = [artifact.key(image) for image in artifact.ids]
    assert len({*keys}) == len(keys) and all(len(key.split()[-1]) == 64 for key in keys)


def test_the_index_is_that_of_the_raw_images(finished: Project) -> None:
    data = opened(finished, "dataset")
    pictures = Images(finished.raw, data)
    for image in IDS:
        content = (finished.raw / "images" / f"{image}.png").read_bytes()
        assert pictures.file(image) == f"images/{image}.png"
        assert pictures.digest(image) == images.digest(content)
        assert data.size(image) == images.decode(content, where=image).shape[:2]
    assert all(height != width for height, width in map(data.size, IDS))
    assert data.max_size == (72, 80)
    assert data.split("train") == IDS[:6] and data.split("val") == IDS[6:]
    assert data.usable == IDS
    with (finished.raw / "labels.csv").open(encoding="utf-8") as stream:
        named = [set(line["labels"].split()) for line in csv.DictReader(stream)]
    labels = Labels(data)
    assert [{data.class_names[label] for label in labels[image]} for image in IDS] == named


def test_features_cover_every_image(finished: Project) -> None:
    features = opened(finished, "features")
    for image in IDS:
        patches = read_patches(features, image)
        height, width = features.size(image)
        expected = (math.ceil(height / patches.patch_size), math.ceil(width / patches.patch_size))
        assert patches.values.shape[:2] == expected and patches.alignment is Alignment.PADDED
        assert np.isfinite(patches.values).all() and patches.values.any()


def test_regions_are_numbered_without_gaps(finished: Project) -> None:
    superpixels = opened(finished, "superpixels")
    for image, count in zip(IDS, superpixels.array("region_count"), strict=True):
        regions = read_entry(superpixels, "regions", image)
        assert regions.dtype == np.int32 and regions.shape == superpixels.size(image)
        assert np.unique(regions).tolist() == list(range(count))
    assert superpixels.array("regions").min() == -1  # padding


def test_a_classifier_that_has_collapsed_is_told_of_before_anything_learns_from_it(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = finished.copy_to(tmp_path / "project")
    content = project.params()
    content["cams"]["multiscale"]["stride"] = 8
    project.write_params(content)
    sees = CamNetwork.forward

    def sees_nothing(self: CamNetwork, images_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        maps_BKyx, logits_BK = sees(self, images_BCYX)
        return maps_BKyx.clamp(max=-1), logits_BK.clamp(max=-1)

    monkeypatch.setattr(CamNetwork, "forward", sees_nothing)
    project.run("cams")
    assert "sampled class maps are empty: the classifier finds its classes nowhere" in capsys.readouterr().err


def test_class_maps_are_of_the_image_s_classes(finished: Project) -> None:
    cams, labels = opened(finished, "cams"), Labels(opened(finished, "dataset"))
    for image in IDS:
        maps = read_class_maps(cams, image)
        assert maps.classes == labels[image] != ()
        assert all(single.max() == 1 or not single.any() for single in maps.maps) and maps.maps.min() >= 0
        absent = read_entry(cams, "maps", image)[~cams.array("present")[cams.row(image)]]
        assert len(absent) == 7 - len(maps.classes) and not absent.any()
    scores = cams.array("scores")
    assert scores.shape == (9, 7) and (scores[:, 0] == 0).all() and ((scores[:, 1:] > 0) & (scores[:, 1:] < 1)).all()


@pytest.mark.parametrize(("name", "others"), [("seeds", {0, 255}), ("refinement", {0})])
def test_labels_are_of_the_image_s_classes(finished: Project, name: str, others: set[int]) -> None:
    made, data = opened(finished, name), opened(finished, "dataset")
    for image in IDS:
        read = read_entry(made, "labels", image)
        assert read.dtype == np.uint8 and read.shape == data.size(image)
        assert set(np.unique(read).tolist()) <= {*Labels(data)[image], *others}


def test_predictions_are_of_their_split_alone_and_sum_to_one(finished: Project) -> None:
    predictions, data = opened(finished, "predictions"), opened(finished, "dataset")
    assert predictions.ids == IDS[6:]
    for image in predictions.ids:
        assert predictions.size(image) == data.size(image)
        maps = read_probabilities(predictions, image).maps
        assert maps.shape[0] == 7
        assert np.allclose(maps.sum(axis=0), 1, atol=7 / 2 / 255)  # each rounded


@pytest.mark.parametrize(("name", "steps"), [("classifier", 2), ("segmenter", 2)])
def test_networks_record_the_loss_of_every_step(finished: Project, name: str, steps: int) -> None:
    trained = opened(finished, name)
    assert trained.array("figures")[0] == "loss"
    assert trained.array("log").shape == (steps, len(trained.array("figures")))
    assert np.isfinite(trained.array("log")).all()
    assert all(np.isfinite(value).all() for value in trained.weights().values())


def test_artifacts_name_their_method_and_the_digests_of_what_they_were_made_from(finished: Project) -> None:
    expected = {
        "dataset": (),
        "pretraining": ("dataset",),
        "features": ("dataset",),
        "superpixels": ("dataset", "features"),
        "classifier": ("dataset",),
        "cams": ("dataset", "classifier"),
        "seeds": ("dataset", "cams", "superpixels"),
        "refinement": ("dataset", "cams"),
        "segmenter": ("dataset", "seeds", "superpixels"),
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

FIGURES = [
    *("images", "images_with_truth", "miou", "false_positive_rate", "false_negative_rate", "coverage", "precision"),
    *("iou", "false_positive_rates", "false_negative_rates", "absent", "boundary_miou", "boundary_iou", "things"),
    *("images_with_labels", "label_violations", "label_violation_rate", "label_violation_area"),
]
WITHOUT_TRUTH = ["images", "images_with_truth", "coverage", *FIGURES[-4:]]


def test_the_evaluation_reports_every_kind_of_labels(finished: Project) -> None:
    report = figures(finished)
    assert list(report) == ["classifier", *KINDS, "superpixels"]
    for kind in KINDS:
        assert list(report[kind]) == [*FIGURES, *(["oracle"] if kind == "class_maps" else [])]
        assert report[kind]["images"] == report[kind]["images_with_truth"] == (3 if kind.startswith("predictions") else 6)
        assert list(report[kind]["iou"]) == ["background", "fish", "lizard", "bee", "tiger", "cow", "snail"]
        assert 0 <= report[kind]["miou"] <= 1
        assert report[kind]["absent"] == [name for name, value in report[kind]["iou"].items() if value is None]
        assert report[kind]["label_violations"] <= report[kind]["images_with_labels"] == report[kind]["images"]
    assert all(report[kind]["label_violations"] == 0 for kind in ("class_maps", "seeds", "masks")), "they are made of the right classes"
    assert report["masks"]["coverage"] == report["predictions"]["coverage"] == 1 > report["seeds"]["coverage"] > 0
    assert report["classifier"]["images"] == 3
    assert report["superpixels"]["images_with_truth"] == 6
    assert 0.5 < report["superpixels"]["achievable_segmentation_accuracy"] <= 1
    assert report["superpixels"]["undersegmentation_error"] > 0
    assert 0 < report["superpixels"]["boundary_precision"] < 1 and 0 < report["superpixels"]["boundary_recall"] < 1


def test_the_oracle_is_at_least_as_good_as_the_declared_threshold(finished: Project) -> None:
    class_maps = figures(finished)["class_maps"]
    assert 0 <= class_maps["oracle"]["threshold"] <= 0.59
    assert class_maps["oracle"]["miou"] >= class_maps["miou"], "which is one of the sweep"
    with (finished.data / "plots" / "thresholds.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["threshold"]) for row in rows] == [round(0.01 * number, 2) for number in range(60)]
    marked = {row["mark"]: (float(row["threshold"]), float(row["miou"])) for row in rows if row["mark"]}
    assert max(float(row["miou"]) for row in rows) == class_maps["oracle"]["miou"]
    assert any(threshold == 0.3 and miou == class_maps["miou"] for mark, (threshold, miou) in marked.items() if "declared" in mark)
    assert any([*point] == [*class_maps["oracle"].values()] for mark, point in marked.items() if "oracle" in mark)


def test_every_pixel_is_counted_for_every_kind(finished: Project) -> None:
    evaluation, data = opened(finished, "evaluation"), opened(finished, "dataset")
    assert evaluation.ids == IDS
    assert evaluation.array("kinds").tolist() == list(KINDS)
    assert evaluation.array("with_truth").all()
    for image, judged in zip(IDS, evaluation.array("judged"), strict=True):
        predicted = image in IDS[6:]
        assert judged.tolist() == [kind.startswith("predictions") == predicted for kind in KINDS]
        pixels = math.prod(data.size(image))
        assert read_entry(evaluation, "confusion", image).sum(axis=(1, 2)).tolist() == [pixels * int(one) for one in judged]
        assert read_entry(evaluation, "boundary_overlap", image).any(axis=(1, 2)).tolist() == judged.tolist()
        declared = evaluation.array("thresholds").tolist().index(pytest.approx(0.3))
        swept = read_entry(evaluation, "sweep", image)[declared]
        assert np.array_equal(swept, metrics.overlap(read_entry(evaluation, "confusion", image)[0])), "the same, counted in another way"
        assert (evaluation.array("region_count")[evaluation.row(image)] == 0) == predicted


def test_the_table_of_images_has_every_image_s_mean_iou_and_begins_with_the_worst(finished: Project) -> None:
    evaluation = opened(finished, "evaluation")
    with (finished.data / "metrics" / "images.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [kind for kind, _ in itertools.groupby(row["kind"] for row in rows)] == list(KINDS)
    for kind, group in itertools.groupby(rows, key=operator.itemgetter("kind")):
        listed = list(group)
        assert {row["image"] for row in listed} == set(IDS[6:] if kind.startswith("predictions") else IDS[:6])
        assert [float(row["miou"]) for row in listed] == sorted(float(row["miou"]) for row in listed)
        for row in listed:
            counts = read_entry(evaluation, "confusion", row["image"])[KINDS.index(kind)]
            assert float(row["miou"]) == metrics.summary(counts, [*"0123456"])["miou"]


def test_the_table_of_the_plot_repeats_the_figures(finished: Project) -> None:
    report = figures(finished)
    with (finished.data / "plots" / "iou.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(float(row["iou"]) == report[row["what"].split(": ")[0]]["iou"][row["what"].split(": ")[1]] for row in rows)


@pytest.mark.parametrize("kind", CHARTED)
def test_the_table_of_a_confusion_matrix_repeats_what_was_counted(finished: Project, kind: str) -> None:
    evaluation = opened(finished, "evaluation")
    counts = sum(read_entry(evaluation, "confusion", image)[KINDS.index(kind)] for image in IDS)
    with (finished.data / "plots" / f"confusion_{kind}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["pixels"]) for row in rows) == np.sum(counts)
    for true in {row["true"] for row in rows}:
        assert sum(float(row["share"]) for row in rows if row["true"] == true) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["iou", "thresholds", *(f"confusion_{kind}" for kind in CHARTED)])
def test_every_table_has_a_chart(finished: Project, name: str) -> None:
    assert (finished.data / "plots" / f"{name}.csv").is_file()
    picture = cv2.imread(str(finished.data / "plots" / f"{name}.png"))
    assert picture is not None and picture.min() < 100


def test_dvc_knows_every_plot_and_how_to_show_it(finished: Project) -> None:
    stages = YAML(typ="safe").load(CHECKOUT / "dvc.yaml")["stages"].values()
    listed = [one for stage in stages for one in stage.get("plots", ())]
    plots = {name: options for one in listed for name, options in (one.items() if isinstance(one, dict) else [(one, {})])}
    assert set(plots) == {f"data/plots/{file.name}" for file in (finished.data / "plots").iterdir()}
    for name, options in plots.items():
        if name.endswith(".csv"):
            columns = (finished.root / name).read_text(encoding="utf-8").splitlines()[0].split(",")
            template = CHECKOUT / ".dvc" / "plots" / f"{options.get('template', 'none of ours')}.json"
            assert {options["x"], options["y"]} <= set(columns)
            named = re.findall(r'"field": "(\w+)"', template.read_text(encoding="utf-8")) if template.exists() else []
            assert template.exists() == ("threshold" in name or "confusion" in name) and set(named) <= {"rev", *columns}


def test_a_training_s_log_has_a_row_for_every_step_while_they_are_few(finished: Project) -> None:
    trained = open_artifact("classifier", folder=finished.data)
    with (finished.data / "plots" / "classifier.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "loss", "classes", "learning_rate"]
    assert [float(row["loss"]) for row in rows] == pytest.approx(trained.array("log")[:, 0].tolist(), rel=1e-4)
    assert (finished.data / "plots" / "pretraining.csv").read_text(encoding="utf-8") == "step,loss\n"


@pytest.mark.parametrize(
    ("name", "columns"), [("training_images", 6), ("predictions", 4), ("errors_seeds", 4), ("errors_masks", 4), ("errors_predictions", 6)]
)
def test_pictures_show_as_many_images_as_were_asked_for(finished: Project, name: str, columns: int) -> None:
    picture = cv2.imread(str(finished.data / "plots" / f"{name}.png"))
    assert picture is not None
    height, width = picture.shape[:2]
    above = (len(drawing.LEGEND) + 2) * TITLE_HEIGHT if name.startswith("errors") else 0  # the legend of errors, and captions
    legend = range(1, 9)  # lines: some of seven classes, and no label
    assert 2 * 64 + legend[0] * TITLE_HEIGHT < height - above < 2 * 90 + 40 + legend[-1] * TITLE_HEIGHT
    assert columns * 64 < width < columns * 90


def test_on_a_gpu_images_go_through_a_crf_together(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer_on_cpu(monkeypatch)
    maps, predictions, data = (opened(finished, name) for name in ("cams", "predictions", "dataset"))
    pictures, params = Images(finished.raw, data), Params(finished.params())
    known = AllEvidence(data, Pictures(pictures), Maps(maps), Regions(None), Patches(None), Edges(None))
    crf_of_masks, judge = params.method(refinement.Method), params.method(family.Method)
    for place in (Place("cpu"), Place("cuda")):
        masks = [row["labels"] for row in refine(crf_of_masks, known, place, IDS[:3])]
        for image, mask in zip(IDS[:3], masks, strict=True):
            assert np.array_equal(mask, read_entry(opened(finished, "refinement"), "labels", image))
        labels = label_predictions(judge, pictures, predictions, place, IDS)
        assert list(labels) == list(IDS[6:])
        for image, made in labels.items():
            differs = made["predictions_crf"] != read_entry(opened(finished, "evaluation"), "refined", image)
            assert differs.mean() < (0.001 if place.device == "cpu" else 0.01), differs.sum()
    assert asked == ["cuda", "cuda"]  # once for all masks, once for all predictions


@pytest.mark.usefixtures("blank_charts")
def test_labels_after_the_crf_are_kept_and_drawn_without_another(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation, predictions = opened(finished, "evaluation"), opened(finished, "predictions")
    pictures = Images(finished.raw, opened(finished, "dataset"))
    method = Params(finished.params()).method(family.Method)
    for image in IDS[6:]:
        enlarged = read_probabilities(predictions, image).resize(predictions.size(image))
        [labels] = method.from_probabilities([pictures[image]], [enlarged])
        assert np.array_equal(read_entry(evaluation, "refined", image), labels["predictions_crf"])
    assert (evaluation.array("refined")[:6] == 255).all()

    def refuse(*_: Any) -> None:
        raise AssertionError("a CRF was run")

    again = finished.copy_to(tmp_path)
    shutil.rmtree(again.data / "plots")
    monkeypatch.setattr(crf.DenseCrf, "_infer", refuse)
    again.run("evaluation")
    assert "(0 computed, 9 reused, 0 removed)" in capsys.readouterr().err
    drawn = ("predictions.png", "errors_predictions.png")
    assert [(again.data / "plots" / one).read_bytes() for one in drawn] == [(finished.data / "plots" / one).read_bytes() for one in drawn]


# --- It does not matter who computes it ---


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(tmp_path: Path, original: dict[str, Any]) -> None:
    crowd = new_project(tmp_path / "one", original, world=CROWD)
    crowd.run(*STAGES)
    assert sum(file.startswith("labels/c/") for file in opened(crowd, "seeds").files) == 2
    again = crowd.copy_to(tmp_path / "two", without=[WORK, "plots", "metrics"])
    networks = ("pretraining", "classifier", "segmenter")
    stages = [stage for stage in STAGES if stage not in (*networks, "predictions")]  # the last has one shard only
    for stage in stages:
        shutil.rmtree(again.data / f"{stage}.zarr")
    again.run(*stages, workers=2)
    logs = {f"plots/{network}.csv": (crowd.data / "plots" / f"{network}.csv").read_bytes() for network in networks}
    assert tree(again.data) | logs == tree(crowd.data)


# --- What was computed once ---


def test_a_stage_that_is_run_again_computes_nothing_and_leaves_the_same(
    finished: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = finished.copy_to(tmp_path)
    for stage in STAGES:
        shutil.rmtree(again.data / f"{stage}.zarr")  # as DVC does before it runs one
    capsys.readouterr()
    again.run(*STAGES)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(STAGES)
    for stage, line in zip(STAGES, said, strict=True):
        images = 3 if stage == "predictions" else 9
        learned = f"{stage}: reused, because nothing that it learns from has changed"
        nothing = rf"{stage}: 0 images in .* s \(0 computed, 0 reused, 0 removed\)"
        assert (
            line == learned
            or (stage in ("edges", "instances", "saliency") and re.fullmatch(nothing, line))
            or re.fullmatch(rf"{stage}: {images} images in .* s \(0 computed, {images} reused, 0 removed\)", line)
        )
    assert tree(again.data) == tree(finished.data)


@pytest.mark.slow
def test_another_crf_runs_no_network_and_changes_nothing_but_what_comes_after_it(finished: Project, tmp_path: Path) -> None:
    """Not even if it wanted to: there are no weights, and no torch."""
    project = finished.copy_to(tmp_path / "project", without=["segmenter.zarr", "classifier.zarr"])
    content = project.params()
    content["evaluation"]["standard"]["crf"] |= {"preset": "own", "smooth_weight": 30}
    project.write_params(content)
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ImportError('a network was asked for')")
    done = project.program("evaluation", environment={"PYTHONPATH": f"{tmp_path / 'without'}{os.pathsep}{CHECKOUT}"})
    assert done.returncode == 0, done.stderr
    assert "(9 computed, 0 reused, 0 removed)" in done.stderr
    without_crf = [{kind: content for kind, content in figures(one).items() if kind != "predictions_crf"} for one in (finished, project)]
    assert without_crf[0] == without_crf[1]


# --- Without a truth ---


def test_without_masks_there_is_still_something_to_say(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path, without=["masks", "evaluation.zarr", "plots", "metrics"])
    project.run("evaluation")
    report, known = figures(project), figures(finished)
    for kind in KINDS:
        assert list(report[kind]) == WITHOUT_TRUTH
        assert report[kind]["label_violations"] == known[kind]["label_violations"]
        assert report[kind]["images_with_truth"] == 0
        assert report[kind]["coverage"] == pytest.approx(known[kind]["coverage"], abs=0.02)  # a mean of images, not of pixels
    assert report["superpixels"] == {"images": 6, "images_with_truth": 0, "mean_count": known["superpixels"]["mean_count"]}
    assert report["classifier"] == known["classifier"]
    assert "iou" not in json.dumps(report)
    plots = project.data / "plots"
    assert (plots / "iou.csv").read_text(encoding="utf-8") == "what,iou\n"
    assert (plots / "thresholds.csv").read_text(encoding="utf-8") == "threshold,miou,mark\n"
    assert (plots / "confusion_masks.csv").read_text(encoding="utf-8") == "true,predicted,share,pixels\n"
    assert (project.data / "metrics" / "images.csv").read_text(encoding="utf-8") == "kind,image,miou,boundary_miou\n"
    empty = [(plots / f"{name}.png").read_bytes() for name in ("iou", "confusion_masks", "errors_masks", "errors_predictions")]
    assert empty == empty[:1] * 4, "which say that there is nothing to show"
    evaluation = opened(project, "evaluation")
    assert len(evaluation) == 9
    assert not evaluation.array("with_truth").any() and evaluation.array("with_labels").all()
    assert not any(evaluation.array(name).any() for name in ("confusion", "boundary_overlap", "sweep", "region_boundary"))
    assert (project.data / "plots" / "training_images.png").is_file()


@pytest.mark.usefixtures("blank_charts")
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
    with pytest.raises(DataError, match=r"images/train_0003\.png: found another file than the one indexed; .*run `dvc repro dataset`"):
        own.run("pretraining", "features")
    assert not (own.data / "features.zarr").exists()


# --- Without some images ---


@pytest.mark.slow
def test_as_many_broken_images_as_are_allowed_are_left_out_of_everything(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path)
    content = project.params()
    classes = opened(finished, "dataset").class_names[1:]
    content["dataset"] |= {
        "method": "folder",
        "folder": {"classes": classes, "complete": True},
        "allow_broken": 2,
    }  # shapes would draw it again
    project.write_params(content)
    for image, share in (("train_0002", 0.5), ("val_0001", 0)):
        path = project.raw / "images" / f"{image}.png"
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    project.run(*STAGES)
    data = opened(project, "dataset")
    left = [image for image in IDS if image not in ("train_0002", "val_0001")]
    assert data.ids == IDS and data.usable == left
    broken = [str(one) for one in data.array("problem") if one]
    assert broken == ["a PNG file that is cut short", "0 bytes that are not an image"]
    for name in ("features", "superpixels", "cams", "seeds", "refinement", "evaluation"):
        assert opened(project, name).ids == left
    assert opened(project, "predictions").ids == ["val_0000", "val_0002"]
    assert figures(project)["masks"]["images"] == 5 and figures(project)["predictions"]["images"] == 2
