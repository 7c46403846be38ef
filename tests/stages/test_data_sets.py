"""Every layout of raw data goes through the whole pipeline; masks change nothing but the evaluation; labels may be missing."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from seedbed.errors import DataError, ParamsError, SeedbedError
from seedbed.images import Images
from seedbed.reads import Labels, read_entry
from seedbed.scoring.instance_truth import InstanceTruth
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.types import LabelMap
from tests.stages.miniature import STAGES, Project, new_project, tree
from tests.stages.surviving import change_params
from tests.support import layouts

TRAIN = {"folder": "train", "voc": "train_aug", "coco": "train"}  # layouts that have labels
NUMBERS = {"folder": (1, 2), "voc": (8, 12), "coco": (1, 2)}  # of cat and dog
MASKS = {"folder": ["masks", "instances"], "voc": ["SegmentationClass", "SegmentationClassAug", "SegmentationObject"], "coco": []}


def project_of(reader: str, root: Path, original: dict[str, Any], **settings: Any) -> Project:
    """A project that reads a small data set in the layout of a reader."""
    project = new_project(root, original)
    change_params(project, "dataset", method=reader, root="data/raw/own", max_size=[40, 48], **settings)
    content = project.params()
    content["dataset"]["folder"]["classes"] = ["cat", "dog"]
    for family in ("classifier", "segmenter", "evaluation"):
        content[family]["split"] = TRAIN[reader]
    project.write_params(content)
    raw = project.data / "raw" / "own"
    raw.mkdir(parents=True)
    layouts.LAYOUTS[reader](raw)
    return project


def indexed(project: Project) -> Artifact:
    project.run("dataset")
    return open_artifact("dataset", folder=project.data)


def truth_of(project: Project) -> dict[str, LabelMap]:
    """The true class of every pixel of every image that has a mask."""
    data = open_artifact("dataset", folder=project.data)
    truth = Truth.of_images(Images(project.data / "raw" / "own", data))
    return {image: mask for image in data.ids if (mask := truth[image]) is not None}


def assert_whole(project: Project) -> None:
    """Where every stage was run, labels that were learned from and predictions were judged by a truth."""
    figures = json.loads((project.data / "metrics" / "evaluation.json").read_text())
    assert figures["masks"]["images"] == figures["masks"]["images_with_truth"] == 2
    assert figures["predictions"]["images_with_truth"] >= 1


@pytest.mark.slow
@pytest.mark.usefixtures("blank_charts")
def test_a_whole_run_of_coco(tmp_path: Path, original: dict[str, Any]) -> None:
    """What other layouts leave, `test_masks_change_nothing_but_the_evaluation` says."""
    project = project_of("coco", tmp_path, original)
    project.run(*STAGES)
    assert_whole(project)


@pytest.mark.slow
@pytest.mark.usefixtures("blank_charts")
@pytest.mark.parametrize("reader", ["folder", pytest.param("voc", marks=pytest.mark.slow)])
def test_masks_change_nothing_but_the_evaluation(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path / "with", original)
    other = project.copy_to(tmp_path / "without")
    for folder in MASKS[reader]:
        shutil.rmtree(other.data / "raw" / "own" / folder)
    for one in (project, other):
        one.run(*STAGES)
    assert_whole(project)
    for stage in STAGES[:-1]:
        assert tree(project.data / f"{stage}.zarr") == tree(other.data / f"{stage}.zarr") != {}, stage
    figures = json.loads((other.data / "metrics" / "evaluation.json").read_text())
    assert figures["masks"]["images_with_truth"] == 0 and "coverage" in figures["masks"] and "miou" not in figures["masks"]


@pytest.mark.parametrize("reader", TRAIN)
def test_truth_is_what_is_drawn(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path, original)
    indexed(project)
    cat, dog = NUMBERS[reader]
    truth = truth_of(project)
    expected = {"one": (cat, 255), "two": (cat, dog), "three": (dog,)}
    for image, values in expected.items():
        assert np.array_equal(truth[image], layouts.rectangle(image, *values)), image
    assert ("four" in truth) == (reader == "coco")
    assert not np.any(truth.get("four", 0))


def things_of(project: Project) -> dict[str, list[tuple[int, bool, LabelMap]]]:
    """Class, whether it is a crowd, and pixels of every true thing of every image whose things are known."""
    data = open_artifact("dataset", folder=project.data)
    truth = InstanceTruth.of(Truth.of_images(Images(project.data / "raw" / "own", data)), data.made_by.method)
    known = {image: true for image in data.ids if (true := truth[image]) is not None}
    return {image: [(one.label, one.crowd, one.shape.astype(np.uint8)) for one in true.things] for image, true in known.items()}


@pytest.mark.parametrize("reader", TRAIN)
def test_true_things_are_what_is_drawn(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path, original)
    indexed(project)
    cat, dog = NUMBERS[reader]
    both = [(cat, False, layouts.rectangle("two", 1)), (dog, False, layouts.rectangle("two", 0, 1))]
    of_one, of_three = [(cat, False, layouts.rectangle("one", 1))], [(dog, False, layouts.rectangle("three", 1))]
    crowd = (dog, True, layouts.rectangle("one", 0, 1))
    expected = {
        "folder": {"two": both},
        "voc": {"one": of_one, "three": of_three},
        "coco": {"one": [*of_one, crowd], "two": both, "three": of_three, "four": []},
    }[reader]
    things = things_of(project)
    assert {image: [one[:2] for one in true] for image, true in things.items()} == {
        image: [one[:2] for one in true] for image, true in expected.items()
    }
    assert all(np.array_equal(one[2], other[2]) for image in expected for one, other in zip(things[image], expected[image], strict=True))


@pytest.mark.parametrize("reader", TRAIN)
def test_true_things_of_some_classes_alone_and_of_smaller_images(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path, original, classes=["dog"], larger="shrink")
    change_params(project, "dataset", max_size=[20, 22])
    indexed(project)
    things = things_of(project)
    image, size = ("three", (13, 22)) if reader == "voc" else ("two", (20, 14))
    assert [(label, crowd, shape.shape) for label, crowd, shape in things[image]] == [(1, False, size)]


@pytest.mark.parametrize("reader", TRAIN)
def test_some_classes_alone(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path, original, classes=["dog"])
    data, full = indexed(project), NUMBERS[reader][1]
    assert data.class_names == ["background", "dog"]
    assert {image: Labels(data)[image] for image in ("one", "two", "three")} == {
        "one": (1,) * (reader == "coco"),
        "two": (1,),
        "three": (1,),
    }
    truth = truth_of(project)
    assert np.array_equal(truth["two"], layouts.rectangle("two", 255, 1)), "what is left out counts nowhere"
    assert np.array_equal(truth["three"], layouts.rectangle("three", 1))
    assert full in (2, 12)


def test_classes_in_another_order(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original, classes=["dog", "cat"])
    assert indexed(project).class_names == ["background", "dog", "cat"]
    assert np.array_equal(truth_of(project)["two"], layouts.rectangle("two", 2, 1))


@pytest.mark.parametrize(("classes", "found"), [(["dgo"], r"'dgo' \(nearest: dog\)"), (["dog", "dog"], "'dog' twice")])
def test_classes_that_cannot_be(tmp_path: Path, original: dict[str, Any], classes: list[str], found: str) -> None:
    project = project_of("folder", tmp_path, original, classes=classes)
    with pytest.raises(ParamsError, match=rf"^params.yaml: dataset.classes: found {found}; expected some of: cat, dog; correct it$"):
        project.run("dataset")


@pytest.mark.parametrize("reader", TRAIN)
def test_larger_images_are_shrunk_with_their_truth(reader: str, tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of(reader, tmp_path, original)
    change_params(project, "dataset", max_size=[20, 22], larger="shrink")
    data = indexed(project)
    assert {image: data.size(image) for image in data.ids} == {"one": (15, 22), "two": (20, 14), "three": (13, 22), "four": (20, 19)}
    assert {image: data.original_size(image) for image in data.ids} == layouts.SIZES
    pictures, truth = Images(project.data / "raw" / "own", data), truth_of(project)
    assert pictures["one"].shape == (15, 22, 3)
    mask = truth["one"]
    assert mask.shape == (15, 22)
    assert set(np.unique(mask)) == {0, NUMBERS[reader][0], 255}, "classes are not mixed"
    project.run("pretraining", "features", "superpixels")
    assert read_entry(open_artifact("superpixels", folder=project.data), "regions", "one").shape == (15, 22)


def test_larger_images_are_refused_otherwise(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    change_params(project, "dataset", max_size=[32, 48])
    with pytest.raises(DataError, match=r"found 2 images that cannot be used: images/two\.png: 38 x 26 pixels; images/four\.png: 33 x 31"):
        project.run("dataset")


# --- Labels that are missing ---


@pytest.mark.slow
@pytest.mark.parametrize("complete", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_image_without_labels_is_no_negative_unless_labels_are_complete(
    tmp_path: Path, original: dict[str, Any], complete: bool
) -> None:
    project = project_of("folder", tmp_path, original)
    content = project.params()
    content["dataset"]["folder"]["complete"] = complete
    project.write_params(content)
    table = project.data / "raw" / "own" / "labels.csv"
    table.write_text(table.read_text().replace("four.png,,val", "four.png,,train val"))
    project.run(*STAGES)
    known = [*list(layouts.SIZES)[:3], *(["four"] if complete else [])]
    data = open_artifact("dataset", folder=project.data)
    assert data.labelled == known
    assert data.learnable("train") == [image for image in known if image != "three"]
    for stage in ("features", "superpixels"):
        assert open_artifact(stage, folder=project.data).ids == list(layouts.SIZES)
    for stage in ("cams", "seeds", "refinement"):
        assert open_artifact(stage, folder=project.data).ids == known
    assert open_artifact("predictions", folder=project.data).ids == ["two", "three", "four"]


def test_nothing_to_learn_from_is_said(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    table = project.data / "raw" / "own" / "labels.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    table.write_text("\n".join([",".join(rows[0]), *(f"{row[0]},,{row[2]}" for row in rows[1:]), ""]))
    project.run("dataset")
    told = "found no image of split 'train' that has labels; expected some to learn from; label images, or correct"
    with pytest.raises(SeedbedError, match=told):
        project.run("classifier")


# --- Masks that cannot be used, at the start ---


def test_wrong_masks_are_told_at_the_start_with_all_else(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    raw = project.data / "raw" / "own"
    layouts.write_mask(raw / "masks" / "one.png", layouts.rectangle("two", 1))
    layouts.write_mask(raw / "masks" / "two.png", layouts.rectangle("two", 1, 9))
    (raw / "masks" / "three.png").write_bytes(b"no mask")
    (raw / "images" / "four.png").write_bytes(b"")
    with (raw / "labels.csv").open("a") as table:
        table.write("five.png,cat,train\n")
    with pytest.raises(DataError) as raised:
        project.run("dataset")
    message = str(raised.value)
    assert "found 1 entries that are wrong: labels.csv, line 6: there is no images/five.png; " in message
    assert "; 1 images that cannot be used: images/four.png: 0 bytes that are not an image; 3 masks that cannot be used: " in message
    assert "masks/one.png: a mask of (38, 26) instead of (30, 44), as its image; " in message
    assert "masks/two.png: classes [9] instead of 0..2 or 255; " in message
    assert "masks/three.png: no PNG file instead of a mask" in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda image, thing: image.update(height=99), r"an image of (99, 40) instead of (24, 40), as it is"),
        (lambda image, thing: thing.update(segmentation=[[1, 2, 3]]), "an outline that cannot be drawn, of annotation 0"),
        (lambda image, thing: thing.update(segmentation=None), "an outline that cannot be drawn, of annotation 0"),
        (lambda image, thing: thing.update(area=None), ""),
    ],
)
def test_outlines_that_are_wrong_are_told_at_the_start(
    tmp_path: Path, original: dict[str, Any], change: Callable[[dict[str, Any], dict[str, Any]], None], found: str
) -> None:
    project = project_of("coco", tmp_path, original)
    file = project.data / "raw" / "own" / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    change(content["images"][0], content["annotations"][0])
    file.write_text(json.dumps(content))
    if not found:
        project.run("dataset")
        return
    with pytest.raises(DataError) as raised:
        project.run("dataset")
    assert f"annotations/instances_val2017.json, three.jpg: {found}" in str(raised.value)


def test_wrong_instance_masks_are_told_at_the_start_with_all_else(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    raw = project.data / "raw" / "own"
    layouts.write_mask(raw / "instances" / "one.png", layouts.rectangle("two", 1))
    layouts.write_mask(raw / "instances" / "four.png", layouts.rectangle("four", 1))
    (raw / "instances" / "three.png").write_bytes(b"no mask")
    layouts.write_mask(raw / "instances" / "five.png", layouts.rectangle("four", 1))
    with pytest.raises(DataError) as raised:
        project.run("dataset")
    message = str(raised.value)
    assert "found 1 entries that are wrong: instances/five.png: an instance mask that belongs to no image; " in message
    assert "3 masks that cannot be used: " in message
    assert "instances/one.png: an instance mask of (38, 26) instead of (30, 44), as its image; " in message
    assert "instances/three.png: no PNG file instead of an instance mask; " in message
    assert "instances/four.png: no mask beside it instead of a mask too, which says of what class each thing is" in message


def test_images_of_coco_in_subfolders_have_their_truth(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("coco", tmp_path, original)
    raw = project.data / "raw" / "own"
    (raw / "val2017" / "deep").mkdir()
    shutil.move(raw / "val2017" / "three.jpg", raw / "val2017" / "deep" / "three.jpg")
    file = raw / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text().replace('"three.jpg"', '"deep/three.jpg"'))
    indexed(project)
    assert np.array_equal(truth_of(project)["deep/three"], layouts.rectangle("three", 2))


def test_masks_that_belong_to_no_image_are_told(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    masks = project.data / "raw" / "own" / "masks"
    (masks / "one.png").rename(masks / "one.PNG")
    (masks / "five.png").symlink_to(masks / "two.png")
    with pytest.raises(DataError) as raised:
        project.run("dataset")
    for name in ("five.png", "one.PNG"):
        assert f"masks/{name}: a mask that belongs to no image" in str(raised.value)


def test_a_mask_that_changes_is_looked_at_again(tmp_path: Path, original: dict[str, Any]) -> None:
    project = project_of("folder", tmp_path, original)
    project.run("dataset")
    mask = project.data / "raw" / "own" / "masks" / "one.png"
    PillowImage.fromarray(np.full(layouts.SIZES["one"], 3, np.uint8)).save(mask)
    with pytest.raises(DataError, match=r"found 1 masks that cannot be used: .*one\.png: classes \[3\] instead of 0\.\.2 or 255"):
        project.run("dataset")
