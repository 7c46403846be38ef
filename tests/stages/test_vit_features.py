"""Features of a transformer, as a stage computes them, and what it says when they tell nothing apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from seedbed.reads import read_patches
from seedbed.store.artifact import open_artifact
from seedbed.types import Alignment
from tests.stages.commands import said
from tests.stages.miniature import CROWD, Project, new_project, tree
from tests.stages.surviving import change_params, heard


@pytest.fixture
def project(tmp_path: Path, original: dict[str, Any]) -> Project:
    """A project that has features of a small transformer."""
    made = new_project(tmp_path / "one", original)
    change_params(made, "features", method="vit")
    made.run("dataset", "pretraining")
    return made


@pytest.mark.slow
def test_the_same_bytes_wherever_it_runs(tmp_path: Path, original: dict[str, Any]) -> None:
    project = new_project(tmp_path / "one", original, world=CROWD)
    change_params(project, "features", method="vit")
    project.run("dataset", "pretraining")
    other = project.copy_to(tmp_path / "other")
    project.run("features")
    done = other.program("features", "--device", "cpu", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert tree(project.data / "features.zarr") == tree(other.data / "features.zarr") != {}


def test_features_cover_every_image_and_superpixels_are_made_of_them(project: Project) -> None:
    project.run("features", "superpixels")
    patches = open_artifact("features", folder=project.data)
    image = patches.ids[0]
    height, width = patches.size(image)
    assert read_patches(patches, image).patch_size == 16 and read_patches(patches, image).alignment is Alignment.RESIZED
    assert read_patches(patches, image).values.shape == (-(-height // 16), -(-width // 16), 64)


def test_images_of_one_superpixel_are_told(project: Project) -> None:
    change_params(project, "features", method="texture")
    before = project.params()["superpixels"]["dino"]
    project.run("pretraining", "features")
    assert "a single superpixel" not in heard(project, "superpixels")
    change_params(project, "superpixels", dino=before | {"threshold": -1.0})
    told = heard(project, "superpixels")
    assert "superpixels: warning: 9 of 9 images are a single superpixel: are all features alike? See features.vit.centred\n" in told


def test_components_are_fitted_once_and_then_frozen(project: Project, tmp_path: Path) -> None:
    project.run("features")
    done = said(project, "components", "5", "own/five.safetensors", "--images", "6")
    assert done.status == 0, done.error
    components = YAML(typ="safe").load(done.out)["components"]
    assert components | {"sha256": ""} == {"count": 5, "fit": "file", "file": "own/five.safetensors", "sha256": ""}
    change_params(project, "features", vit=project.params()["features"]["vit"] | {"components": components})
    project.run("features")
    patches = open_artifact("features", folder=project.data)
    assert patches.array("patches").shape[-1] == 5
    many = said(project, "components", "6", "other")
    assert many.status == 2
    assert many.error == "error: seedbed components: found 6; expected at most the 5 channels of the features; ask for less\n"
