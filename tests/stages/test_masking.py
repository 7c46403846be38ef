"""Saliency, from files and from superpixels, and a segmenter that learns from it and from a classifier."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from seedbed import detected as detected_maps
from seedbed.errors import DataError
from seedbed.reads import Labels, read_entry
from seedbed.store.artifact import open_artifact
from seedbed.tools.verify import verify
from seedbed.types import Size
from tests.stages.miniature import Project
from tests.stages.surviving import change_params

OBJECTS = ("object_iou", "object_precision", "object_recall", "background_precision", "unknown")
pytestmark = pytest.mark.usefixtures("blank_charts")


@pytest.fixture(scope="module")
def detected(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with maps of a detector that is right by half, and masks nothing; classes are erased, and judged by the classifier."""
    project = finished.copy_to(tmp_path_factory.mktemp("detected") / "project")
    data = open_artifact("dataset", folder=project.data)
    (project.data / "raw" / "maps").mkdir()
    for image_id in data.ids:
        height, width = data.size(image_id)
        content = np.zeros((height, width), np.uint8)
        content[:, : width // 2] = 200
        cv2.imwrite(str(project.data / "raw" / "maps" / f"{image_id}.png"), content)
    change_params(project, "saliency", method="files", folder="data/raw/maps", class_maps="cams")
    objects = {"labels": "none", "regions": "none", "confidence": "none", "objects": "saliency"}
    change_params(project, "segmenter", method="masking", maps=objects, classifier="classifier")
    change_params(project, "evaluation", saliency="saliency")
    project.run("saliency", "segmenter", "predictions", "evaluation")
    return project


def test_every_stage_leaves_what_the_next_one_reads(detected: Project) -> None:
    saliency, segmenter = (open_artifact(name, folder=detected.data) for name in ("saliency", "segmenter"))
    for image_id in saliency.ids:
        soft, objects = (read_entry(saliency, name, image_id) for name in ("saliency", "objects"))
        assert set(np.unique(soft)) == {0, 200} and soft.shape == objects.shape == saliency.size(image_id)
        assert set(np.unique(objects)) <= {0, 1, 255} and (soft[objects == 255] == 200).all()
    figures = {str(one) for one in segmenter.array("figures")}
    assert {"saliency", "attention"} <= figures and segmenter.made_by.inputs.keys() == {"dataset", "classifier", "saliency"}
    own = {*open_artifact("segmenter", folder=detected.data).weights()}
    assert own and all(name.startswith(("backbone.", "branches.")) for name in own)
    assert len(open_artifact("predictions", folder=detected.data))


@pytest.mark.slow
def test_saliency_is_judged_and_verified(detected: Project) -> None:
    figures = json.loads((detected.data / "metrics" / "evaluation.json").read_text(encoding="utf-8"))["saliency"]
    assert figures.keys() == {"images", "images_with_truth", *OBJECTS}
    assert figures["images"] == figures["images_with_truth"] and 0 < figures["object_iou"] < 1 and 0 < figures["unknown"] < 1
    assert all(verify(name, folder=detected.data).sound for name in ("saliency", "segmenter", "evaluation"))


def test_another_map_of_one_image_is_seen_and_costs_that_image_alone(
    detected: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = detected.copy_to(tmp_path / "project")
    before = open_artifact("saliency", folder=project.data)
    first, second = before.ids[:2]
    kept = read_entry(before, "saliency", second)
    height, width = before.size(first)
    cv2.imwrite(str(project.data / "raw" / "maps" / f"{first}.png"), np.full((height, width), 30, np.uint8))
    project.run("saliency")
    assert re.search(rf"saliency: {len(before)} images in .* \(1 computed, {len(before) - 1} reused", capsys.readouterr().err)
    after = open_artifact("saliency", folder=project.data)
    assert (read_entry(after, "saliency", first) == 30).all() and np.array_equal(read_entry(after, "saliency", second), kept)


def test_maps_that_cannot_be_used_are_named_at_once_and_others_are_not_looked_at(
    detected: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, decode, looked_at = detected.copy_to(tmp_path / "project"), detected_maps._decode, list[str]()
    first, second = open_artifact("saliency", folder=project.data).ids[:2]
    folder = project.data / "raw" / "maps"
    (folder / f"{first}.png").write_bytes(b"")
    (folder / f"{second}.png").unlink()

    def count(content: bytes, file: str, size: Size) -> np.ndarray[Any, np.dtype[np.float32]]:
        looked_at.append(file)
        return decode(content, file, size)

    monkeypatch.setattr(detected_maps, "_decode", count)
    with pytest.raises(DataError) as caught:
        project.run("saliency")
    told = sorted([f"{first}.png: an empty file", f"{second}: no map"])
    assert f"found 2 maps that cannot be used: {'; '.join(told)}; expected" in str(caught.value) and looked_at == [f"{first}.png"]


@pytest.mark.slow
def test_images_without_any_object_are_named(detected: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = detected.copy_to(tmp_path / "project")
    change_params(project, "saliency", class_maps="none")
    content = project.params()
    content["saliency"]["files"] = {"threshold": 0.5, "correction": {"adds_above": 1, "doubts_below": 0}}
    project.write_params(content)
    data = open_artifact("dataset", folder=project.data)
    height, width = data.size(data.ids[0])
    cv2.imwrite(str(project.data / "raw" / "maps" / f"{data.ids[0]}.png"), np.zeros((height, width), np.uint8))
    project.run("saliency")
    assert f"saliency: warning: 1 of {len(data.ids)} images show no object: {data.ids[0]}" in capsys.readouterr().err


@pytest.mark.slow
def test_another_classifier_trains_the_segmenter_again(detected: Project, tmp_path: Path) -> None:
    project = detected.copy_to(tmp_path / "project")
    again = project.command("segmenter")
    assert "segmenter: reused" in again.stderr
    content = project.params()
    content["classifier"]["cam"]["training"]["seed"] = 7
    project.write_params(content)
    project.run("classifier")
    assert "reused" not in project.command("segmenter").stderr


def test_a_folder_that_is_not_there_is_refused(detected: Project, tmp_path: Path) -> None:
    project = detected.copy_to(tmp_path / "project")
    change_params(project, "saliency", folder="data/raw/other")
    done = project.command("saliency")
    told = "error: params.yaml: saliency.folder: found 'data/raw/other', no such file; expected a folder; put it there, or correct it"
    assert done.returncode == 2 and done.stderr.strip() == told


@pytest.mark.slow
def test_superpixels_show_things_without_a_detector(finished: Project, tmp_path: Path) -> None:
    project = finished.copy_to(tmp_path / "project")
    change_params(project, "saliency", method="unsupervised", superpixels="superpixels", features="features", class_maps="cams")
    project.run("saliency")
    saliency = open_artifact("saliency", folder=project.data)
    data, regions = open_artifact("dataset", folder=project.data), open_artifact("superpixels", folder=project.data)
    assert saliency.ids == data.ids and all(Labels(data)[one] for one in data.ids)
    for image_id in saliency.ids:
        soft, region_map = (read_entry(one, name, image_id) for one, name in ((saliency, "saliency"), (regions, "regions")))
        assert all(len(np.unique(soft[region_map == number])) == 1 for number in np.unique(region_map))
