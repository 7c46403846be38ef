"""What labelling tools import gives back the labels, pixel for pixel where no corners are saved."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pycocotools.coco import COCO

from seedbed.report.outlining import encode_strokes
from seedbed.tools.export_labelling import export_labelling
from seedbed.tools.export_source import Wanted
from tests.support.looking import IDS, LABELS, enlarge, write_run

NAMES = ("<b>cat</b>", '猫 "كلب"')
WITHOUT_VOID = [np.where(enlarge(labels) == 255, 0, enlarge(labels)) for labels in LABELS]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelling")
    run = write_run(folder / "run", names=NAMES, only=["refinement"])
    assert export_labelling(Wanted("refinement", str(run)), folder / "out", tolerance=0) == "2 images with 3 things"
    return folder / "out"


def test_masks_have_numbers_of_classes_and_their_colours(out: Path) -> None:
    for image_id, labels in zip(IDS, LABELS, strict=True):
        with PillowImage.open(out / "labels" / f"{image_id}.png") as opened:
            assert opened.mode == "P" and np.array_equal(np.asarray(opened), enlarge(labels))


def test_instances_of_coco_are_polygons_or_run_lengths_where_there_are_holes(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = COCO(str(out / "coco.json"))
    assert [(one["id"], one["name"]) for one in read.loadCats(read.getCatIds())] == [(1, NAMES[0]), (2, NAMES[1])]
    for number, labels in enumerate(WITHOUT_VOID, start=1):
        drawn = np.zeros((12, 16), np.uint8)
        for annotation in read.loadAnns(read.getAnnIds(imgIds=[number])):
            shape = read.annToMask(annotation).astype(bool)
            assert annotation["area"] == shape.sum() and isinstance(annotation["segmentation"], dict) == bool(annotation["iscrowd"])
            drawn[shape] = annotation["category_id"]
        assert np.array_equal(drawn, labels)
    assert [(one["category_id"], one["iscrowd"]) for one in read.anns.values()] == [(1, 1), (2, 0), (2, 0)]
    assert read.anns[3]["bbox"] == [8, 0, 8, 6] and read.anns[3]["segmentation"] == [[8, 0, 16, 0, 16, 6, 8, 6]]
    assert read.imgs[2] == {"id": 2, "file_name": "images/1 ü.png", "height": 12, "width": 16}


def test_tasks_of_label_studio_have_polygons_in_percent_and_strokes_where_there_are_holes(out: Path) -> None:
    tasks: list[Any] = json.loads((out / "label_studio.json").read_text())
    assert [one["data"]["image"] for one in tasks] == ["/data/local-files/?d=images/0.png", "/data/local-files/?d=images/1%20%C3%BC.png"]
    [first, second] = tasks[0]["predictions"][0]["result"]
    common = {"to_name": "image", "original_width": 16, "original_height": 12, "image_rotation": 0}
    strokes = {"format": "rle", "rle": encode_strokes(enlarge(LABELS[0]) == 1), "brushlabels": [NAMES[0]]}
    assert first == {"id": "thing0", **common, "type": "brushlabels", "from_name": "brush", "value": strokes}
    assert second["type"] == "polygonlabels" and second["value"]["polygonlabels"] == [NAMES[1]]
    [third] = tasks[1]["predictions"][0]["result"]
    assert third["value"]["points"] == [[50, 0], [100, 0], [100, 50], [50, 50]] and third["from_name"] == "polygons"


def test_the_interfaces_know_the_same_classes_whatever_they_are_called(out: Path) -> None:
    tree = ET.fromstring((out / "label_studio.xml").read_text())
    assert {one.tag: [label.get("value") for label in one] for one in tree} == {
        "Image": [],
        "PolygonLabels": list(NAMES),
        "BrushLabels": list(NAMES),
    }
    assert tree[1].get("name") == "polygons" and tree[2].get("name") == "brush" and tree[1].get("toName") == tree[0].get("name") == "image"
    labels = json.loads((out / "cvat_labels.json").read_text())
    assert [(one["name"], one["color"]) for one in labels] == [(NAMES[0], "#e69f00"), (NAMES[1], "#56b4e9")]


def test_images_without_any_label_are_there_to_be_labelled(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", only=["seeds"])
    assert export_labelling(Wanted("seeds", str(run)), tmp_path / "out", tolerance=1) == "2 images with 2 things"
    tasks = json.loads((tmp_path / "out/label_studio.json").read_text())
    assert tasks[1]["predictions"][0]["result"] == [] and len(json.loads((tmp_path / "out/coco.json").read_text())["images"]) == 2
