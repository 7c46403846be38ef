"""A segmenter of features that are kept, from its training to new pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from seedbed.images import Images
from seedbed.networks.transformer import Tokens
from seedbed.params import Params
from seedbed.reads import read_entry, read_patches
from seedbed.store.artifact import open_artifact
from seedbed.tools.predict import open_segmenter
from tests.stages.commands import said
from tests.stages.miniature import Project, tree
from tests.stages.surviving import change_params, heard
from tests.stages.test_predicting import check_predicted

ROUNDED = 0.02  # features are kept in 16 bits, and what is predicted is rounded to a 255th


@pytest.fixture(scope="module")
def light(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose segmenter has learned from features of a small transformer."""
    project = finished.copy_to(tmp_path_factory.mktemp("light") / "project")
    change_params(project, "features", method="vit")
    change_params(project, "segmenter", method="light", features="features")
    change_params(project, "predictions", method="patch_probabilities", features="features")
    project.run("features", "superpixels", "seeds", "segmenter", "predictions", "evaluation")
    return project


@pytest.mark.slow
def test_what_is_kept_is_the_head_alone(light: Project) -> None:
    weights = open_artifact("segmenter", folder=light.data).weights()
    assert {name: value.shape for name, value in weights.items() if name in ("mean", "deviation")} == {"mean": (64,), "deviation": (64,)}
    assert {name.partition(".")[0] for name in weights} == {"mean", "deviation", "layers"}
    features, data = open_artifact("features", folder=light.data), open_artifact("dataset", folder=light.data)
    patches = np.concatenate([read_patches(features, one).values.reshape(-1, 64) for one in data.split("train")]).astype(np.float64)
    assert np.asarray(weights["mean"]) == pytest.approx(patches.mean(axis=0), abs=1e-5)
    assert np.asarray(weights["deviation"]) == pytest.approx(patches.std(axis=0), rel=1e-4)


@pytest.mark.slow
def test_a_picture_of_the_data_set_is_segmented_as_in_the_pipeline(light: Project, tmp_path: Path) -> None:
    check_predicted(light, tmp_path, within=ROUNDED)


@pytest.mark.slow
def test_an_exported_model_is_the_transformer_and_the_head(light: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = said(light, "export-model", str(tmp_path / "model.pt2"), "--size", "64", "80")
    assert done.status == 0, done.error
    exported = torch.export.load(tmp_path / "model.pt2").module()
    monkeypatch.chdir(light.root)
    trained, [features] = open_segmenter(Params.read(), "cpu")
    data = open_artifact("dataset")
    picture = Images(light.raw, data)[data.ids[0]][:64, :64]
    picture = np.concatenate([picture, picture[:, :16]], axis=1)
    [patches] = features.describe([picture])
    logits = patches.resample(
        trained.load()(torch.from_numpy(patches.values).permute(2, 0, 1)[None])[0].detach().numpy(), (64, 80), (64, 80)
    )
    with torch.inference_mode():
        found = exported(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)[0].numpy()
    assert found == pytest.approx(logits, abs=1e-3 * float(np.abs(logits).max()))


@pytest.mark.slow
def test_features_of_no_network_cannot_be_exported(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    change_params(project, "features", method="texture")
    project.run("features", "superpixels", "seeds", "segmenter")
    done = said(project, "export-model", str(tmp_path / "model.pt2"), "--size", "64", "80")
    expected = (
        "error: seedbed export-model: found patches that features.texture describes; expected features of a network, of images that are "
        "not mirrored, and without components that are fitted to each image; use other features\n"
    )
    assert (done.status, done.error) == (2, expected) and not (tmp_path / "model.pt2").exists()


@pytest.mark.slow
def test_what_was_learned_stays_while_its_inputs_do(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    before = tree(project.data / "segmenter.zarr")
    assert "segmenter: reused, because nothing that it learns from has changed" in heard(project, "segmenter")
    assert tree(project.data / "segmenter.zarr") == before != {}


@pytest.mark.slow
def test_other_views_of_the_images_are_learned_from_and_predicted_with(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    content = project.params()
    content["features_other"] = content["features"] | {"scale": 2.0, "mirrored": True}
    project.write_params(content)
    done = project.program("features", "--as", "features_other")
    assert done.returncode == 0, done.stderr
    before = open_artifact("segmenter", folder=project.data)
    steps = len(before.array("log"))
    change_params(project, "segmenter", views={"other": "features_other"})
    project.run("segmenter")
    after = open_artifact("segmenter", folder=project.data)
    assert (steps, len(after.array("log"))) == (2, 3), "half a pass over 6 samples, and over 12, two at a time"
    assert after.weights_digest != before.weights_digest and set(after.made_by.inputs) >= {"features", "features_other"}
    change_params(project, "predictions", views={"other": "features_other"})
    project.run("predictions")
    check_predicted(project, tmp_path, within=ROUNDED)


@pytest.mark.slow
def test_predictions_want_what_the_segmenter_has_learned_from(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    content = project.params()
    content["features_other"] = content["features"]
    project.write_params(content)
    assert project.program("features", "--as", "features_other").returncode == 0
    change_params(project, "predictions", features="features_other")
    done = project.command("predictions")
    expected = (
        "error: params.yaml: predictions.features: found 'features_other'; expected features that segmenter has learned from: features; "
        "correct one of the two"
    )
    assert done.returncode == 2 and expected in done.stderr
    change_params(project, "predictions", method="multiscale", features="none")
    done = project.command("predictions")
    expected = (
        "error: params.yaml: predictions.method: found 'multiscale'; expected one for features, from which segmenter.light has learned; "
        "correct it, or select another method of segmenter"
    )
    assert done.returncode == 2 and expected in done.stderr


@pytest.mark.slow
def test_learned_from_kept_features_it_predicts_what_it_would_from_computed_ones(light: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept has 16 bits."""
    monkeypatch.chdir(light.root)
    trained, [features] = open_segmenter(Params.read(), "cpu")
    data, kept = open_artifact("dataset"), open_artifact("features")
    image = data.ids[-1]
    [computed] = features.describe([Images(light.raw, data)[image]])
    values = [torch.from_numpy(one.values).permute(2, 0, 1)[None] for one in (computed, read_patches(kept, image))]
    with torch.inference_mode():
        first, second = (trained.load()(one).softmax(dim=1) for one in values)
    assert 0 < (first - second).abs().max() < 1e-2
    assert read_entry(kept, "patches", image).dtype == np.float16


@pytest.mark.slow
def test_views_are_made_by_the_same_network(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    content = project.params()
    content["features_other"] = content["features"] | {"vit": content["features"]["vit"] | {"what": "tokens"}}
    project.write_params(content)
    assert project.program("features", "--as", "features_other").returncode == 0
    for stage in ("segmenter", "predictions"):
        change_params(project, stage, views={"other": "features_other"})
        done = project.command(stage)
        expected = (
            f"error: params.yaml: {stage}.views.other: found 'features_other'; expected other features than features, of the same method "
            "with the same parameters; let the two sections differ in scale and mirrored alone"
        )
        assert done.returncode == 2 and expected in done.stderr


@pytest.mark.slow
def test_features_that_are_newer_than_the_segmenter_are_refused(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    change_params(project, "features", mirrored=True)
    said_before = said(project, "predict", "data/raw/shapes/images/val_0000.png", "--to", str(tmp_path / "one"), "--device", "cpu")
    assert said_before.status == 0, "what was made counts, not what is wanted"
    project.run("features")
    found = "found an artifact made from a different data/features.zarr; expected the present one; run `dvc repro`"
    expected = f"error: data/segmenter.zarr: {found}\n"
    done = project.command("predictions")
    assert done.returncode == 2 and done.stderr.endswith(expected)
    for command in (["predict", "data/raw/shapes/images/val_0000.png", "--device", "cpu"], ["export-model", str(tmp_path / "a.pt2")]):
        done_again = said(project, *command)
        assert (done_again.status, done_again.error) == (2, expected)


def test_who_predicts_what_is_checked_by_commands_too(light: Project, tmp_path: Path) -> None:
    project = light.copy_to(tmp_path / "project")
    change_params(project, "predictions", features="none")
    expected = (
        "error: params.yaml: predictions.features: found 'none'; expected an artifact of the kind features, because the selected method "
        "labels features; correct one of the two\n"
    )
    command = ["predict", "data/raw/shapes/images/val_0000.png", "--device", "cpu"]
    assert (said(project, *command).status, said(project, *command).error) == (2, expected)
    change_params(project, "predictions", method="multiscale")
    done = said(project, *command)
    assert done.status == 2 and "found 'multiscale'; expected one for features, from which segmenter.light has learned" in done.error


@pytest.mark.slow
def test_weights_of_features_lie_where_the_parameters_say(light: Project, tmp_path: Path) -> None:
    """What lies in an artifact says which weights they are, not where."""
    project, file = light.copy_to(tmp_path / "project"), tmp_path / "weights.safetensors"
    torch.manual_seed(1)
    safetensors.torch.save_file(Tokens("test_vit", patch_size=16).trunk.state_dict(), file)
    block = project.params()["features"]["vit"]
    weights = {"source": "file", "file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    change_params(project, "features", vit=block | {"initial_weights": weights})
    project.run("features", "superpixels", "seeds", "segmenter", "predictions")
    check_predicted(project, tmp_path, within=ROUNDED)
