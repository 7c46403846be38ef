"""Results that COCO's own tool reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from seedbed.tools.export_coco import export_coco
from seedbed.tools.export_source import Wanted
from seedbed.types import LabelMap
from tests.support.looking import LABELS, THINGS, enlarge, predicted_labels, write_run


def read_back(folder: Path, image_number: int, classes: dict[int, int]) -> LabelMap:
    """Labels of an image as COCO's tool understands them.

    classes: of the data set, by category.
    """
    truth = COCO(str(folder / "images.json"))
    results = truth.loadRes(str(folder / "results.json"))
    labels = np.zeros((12, 16), np.uint8)
    for number in results.getAnnIds(imgIds=[image_number]):
        annotation = results.anns[number]
        labels[results.annToMask(annotation).astype(bool)] = classes[annotation["category_id"]]
    return labels


def test_cocos_tool_reads_the_same_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", reader="coco", values=(0, 17, 90), only=["refinement"])
    told = export_coco(Wanted("refinement", str(run)), tmp_path / "out")
    assert told == "2 images; image_id is the number at the end of the file's name"
    for number, labels in ((9, LABELS[0]), (42, LABELS[1])):
        assert np.array_equal(read_back(tmp_path / "out", number, {17: 1, 90: 2}), np.where(enlarge(labels) == 255, 0, enlarge(labels)))
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert [(one["image_id"], one["category_id"], one["score"]) for one in content] == [(9, 17, 0.8), (9, 90, 1.0), (42, 90, 1.0)]
    assert content[0]["segmentation"]["size"] == [12, 16]
    images = json.loads((tmp_path / "out/images.json").read_text())
    assert images["images"][1] == {"id": 42, "file_name": "images/1 ü.png", "height": 12, "width": 16}
    assert [(one["id"], one["name"]) for one in images["categories"]] == [(17, "cat"), (90, "dog")]


def test_cocos_tool_reads_every_thing_with_its_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", reader="coco", values=(0, 17, 90), only=["instances"])
    assert export_coco(Wanted("instances", str(run)), tmp_path / "out").startswith("2 images; image_id is the number")
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert [(one["image_id"], one["category_id"], one["score"]) for one in content] == [(9, 90, 1.0), (9, 17, 0.625)]
    assert all("bbox" not in one for one in content), "with which COCO's tool would measure things by their boxes"
    results = COCO(str(tmp_path / "out/images.json")).loadRes(str(tmp_path / "out/results.json"))
    for number, annotation in results.anns.items():
        shape = enlarge(THINGS[0]) == number
        assert np.array_equal(results.annToMask(annotation), shape) and annotation["area"] == shape.sum()
        rows, columns = np.nonzero(shape)
        assert [*annotation["bbox"]] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert len(json.loads((tmp_path / "out/images.json").read_text())["images"]) == 2


def test_images_that_have_no_number_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", only=["predictions"])
    told = export_coco(Wanted("predictions", str(run)), tmp_path / "out")
    assert told == "1 images; image_id is the image's place in the data set, from 1: see images.json"
    assert np.array_equal(read_back(tmp_path / "out", 2, {1: 1, 2: 2}), predicted_labels())
    content = json.loads((tmp_path / "out/results.json").read_text())
    assert all(0.3 < one["score"] <= round(155 / 255, 4) for one in content) and len(content) == 2
    again = write_run(tmp_path / "again", reader="coco", ids=("a_7", "b_7"), only=["refinement"])
    assert "place in the data set" in export_coco(Wanted("refinement", str(again)), tmp_path / "out")


def test_a_run_without_any_class_gives_empty_lists(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", only=["seeds"])
    export_coco(Wanted("seeds", str(run), split="val"), tmp_path / "out")
    assert json.loads((tmp_path / "out/results.json").read_text()) == []
    assert json.loads((tmp_path / "out/images.json").read_text())["images"] == []
