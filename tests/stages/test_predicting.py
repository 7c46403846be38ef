"""`seedbed predict` and `seedbed export-model`, on a project in which every stage was run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from seedbed import export_model
from seedbed.artifacts import open_artifact
from seedbed.deeplab import DeepLab
from seedbed.networks import Backbone
from tests.stages.miniature import CHECKOUT, Project


def seedbed(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "SEEDBED_DEVICE": "cpu"}
    command = [sys.executable, "-m", "seedbed.cli", *arguments]
    return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    return finished.copy_to(tmp_path / "project")


@pytest.mark.parametrize("crf", [[], ["--crf"]])
def test_a_picture_that_was_never_seen_gets_a_mask_of_its_size(done: Project, tmp_path: Path, crf: list[str]) -> None:
    picture = tmp_path / "my holiday.jpg"
    random = np.random.default_rng(0)
    cv2.imwrite(str(picture), cv2.resize(random.integers(0, 256, (5, 7, 3), dtype=np.uint8), (110, 70)))
    said = seedbed(done, "predict", str(picture), "--to", "out", "--overlay", "--device", "cpu", *crf)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("out/my holiday.png: ") and "%" in said.stdout
    with PillowImage.open(done.root / "out" / "my holiday.png") as mask:
        assert mask.mode == "P" and mask.size == (110, 70)
        labels = np.asarray(mask)
        palette = np.array(mask.getpalette()).reshape(-1, 3)
    data = open_artifact("dataset", folder=done.data)
    assert labels.max() <= data.num_classes
    assert np.array_equal(palette[: 1 + data.num_classes], data.whole("palette"))
    overlay = cv2.imread(str(done.root / "out" / "my holiday_overlay.png"))
    assert overlay is not None and overlay.shape == (70, 110, 3)


def test_a_picture_of_the_data_set_is_segmented_as_in_the_pipeline(done: Project) -> None:
    predicted = open_artifact("predictions", folder=done.data)
    image = predicted.ids[0]
    said = seedbed(done, "predict", f"data/raw/shapes/images/{image}.png", "--to", "out", "--device", "cpu")
    assert said.returncode == 0, said.stderr
    with PillowImage.open(done.root / "out" / f"{image}.png") as mask:
        labels = np.asarray(mask)
    kept = predicted.probabilities(image).resized(predicted.size(image)).maps
    said_of = np.take_along_axis(kept, labels[None].astype(np.int64), axis=0)[0]
    assert (said_of > kept.max(axis=0) - 1.01 / 255).all(), "what is kept is rounded to a 255th"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.png"], "error: nothing.png: found no such file; expected a picture; correct the path\n"),
        (["a/one.png", "b/one.jpg"], "error: one: found two pictures of that name; expected names that differ; "),
        (["params.yaml"], "bytes that are not an image"),
    ],
)
def test_what_is_no_picture_is_one_line(done: Project, arguments: list[str], message: str) -> None:
    said = seedbed(done, "predict", *arguments, "--device", "cpu")
    assert said.returncode == 2 and said.stderr.count("\n") == 1
    assert message in said.stderr


def test_without_a_trained_network(indexed: Project, tmp_path: Path) -> None:
    own = indexed.copy_to(tmp_path / "own")
    said = seedbed(own, "predict", "data/raw/shapes/images/val_0000.png", "--device", "cpu")
    assert said.returncode == 2
    assert "error: data/segmenter.zarr: found nothing; expected the artifact of stage segmenter" in said.stderr


def test_an_exported_model_runs_without_seedbed(done: Project) -> None:
    said = seedbed(done, "export-model", "out/model.pt2", "--size", "64", "80")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("out/model.pt2: from RGB in [0, 1] (batch, 3, height, width) to logits of every pixel; at most ")
    program = torch.export.load(done.root / "out" / "model.pt2").module()
    with torch.inference_mode():
        logits = program(torch.rand(3, 3, 64, 80))
    assert logits.shape == (3, 7, 64, 80) and logits.isfinite().all()


def test_a_network_that_cannot_be_written_for_any_size_is_one_line(done: Project) -> None:
    (kept := done.root / "out" / "model.pt2").parent.mkdir(exist_ok=True)
    kept.write_bytes(b"of before")
    said = seedbed(done, "export-model", "out/model.pt2")  # this backbone rounds sizes in a way that torch.export cannot write
    assert said.returncode == 2, said.stderr
    assert said.stderr.splitlines()[-1] == (
        "error: out/model.pt2: found a network that torch.export cannot write (SerializeError); "
        "expected one that it can, for images of any size; name one size, as with --size 480 640"
    )
    assert kept.read_bytes() == b"of before" and list(kept.parent.iterdir()) == [kept]


def test_a_resnet_is_exported_for_images_of_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DeepLab(Backbone("resnet18", output_stride=16), 2, (1, 2)).eval()
    assert export_model.exported(network, tmp_path / "model.pt2", size=None) < 1e-3
    program, whole = torch.export.load(tmp_path / "model.pt2").module(), export_model.Exported(network).eval()
    for size in ((1, 3, 64, 80), (3, 3, 101, 77)):
        images = torch.rand(size)
        with torch.inference_mode():
            assert torch.allclose(program(images), whole(images), atol=1e-4)
