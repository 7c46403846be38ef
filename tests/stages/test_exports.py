"""`seedbed export-model`, `weights` and `components`, on a project in which every stage was run."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from seedbed.errors import WeightsError
from seedbed.networks.backbones import Backbone
from seedbed.networks.deeplab import DeepLab
from seedbed.tools import export_model
from tests.stages.commands import program, said
from tests.stages.miniature import Project
from tests.stages.test_predicting import draw

COMMANDS = {
    "model.pt2": ["export-model", "{file}", "--size", "64", "80"],
    "weights.safetensors": ["weights", "segmenter", "{file}"],
    "components.safetensors": ["components", "2", "{file}", "--images", "3"],
    "a.png": ["predict", "{picture}", "--to", "{folder}", "--device", "cpu"],
}


def typed(name: str, folder: Path) -> list[str]:
    """A command that writes a file of a name into a folder."""
    picture = draw(folder.parent / "a.jpg")
    return [one.format(file=folder / name, folder=folder, picture=picture) for one in COMMANDS[name]]


def test_an_exported_model_runs_without_seedbed(finished: Project, tmp_path: Path) -> None:
    file = tmp_path / "out" / "model.pt2"
    done = said(finished, "export-model", str(file), "--size", "64", "80")
    assert done.status == 0, done.error
    assert done.out.startswith(f"{file}: from RGB in [0, 1] (batch, 3, height, width) to logits of every pixel, within ")
    exported = torch.export.load(file).module()
    with torch.inference_mode():
        logits = exported(torch.rand(3, 3, 64, 80))
    assert logits.shape == (3, 7, 64, 80) and logits.isfinite().all()


@pytest.mark.slow
def test_a_network_that_cannot_be_written_for_any_size_is_one_line(finished: Project, tmp_path: Path) -> None:
    (kept := tmp_path / "out" / "model.pt2").parent.mkdir()
    kept.write_bytes(b"of before")
    done = said(finished, "export-model", str(kept))  # this backbone rounds sizes in a way that torch.export cannot write
    assert done.status == 2
    [line] = [one for one in done.error.splitlines() if one.startswith("error: ")]
    assert line.startswith(f"error: {kept}: found a network that torch.export does not support (")
    assert line.endswith("); expected a network that it supports; fix one size, as in --size 480 640")
    assert kept.read_bytes() == b"of before" and list(kept.parent.iterdir()) == [kept]


def any_size_can_be_pooled() -> bool:
    """Whether this version of torch writes a pooling for images of any size; 2.10 to 2.12 fix whether sizes are even."""
    free = torch.export.Dim.AUTO
    images = torch.rand(1, 3, 9, 12)
    pooled = torch.export.export(nn.MaxPool2d(3, 2, 1), (images,), dynamic_shapes=({2: free, 3: free},), strict=False).module()
    try:
        pooled(torch.rand(1, 3, 10, 11))
    except AssertionError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_a_convolutional_network_is_exported_for_images_of_any_size(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network, file = DeepLab(Backbone(name, output_stride=16), 2, (1, 2)).eval(), tmp_path / "model.pt2"
    if not any_size_can_be_pooled():
        with pytest.raises(WeightsError, match="fix one size, as in --size 480 640"):
            export_model.export(network, file, size=None)
        assert list(tmp_path.iterdir()) == []
        return
    assert export_model.export(network, file, size=None) < 1e-3
    exported, whole = torch.export.load(file).module(), export_model.Exported(network).eval()
    for size in ((1, 3, 64, 80), (3, 3, 101, 77)):
        images = torch.rand(size)
        with torch.inference_mode():
            assert torch.allclose(exported(images), whole(images), atol=1e-4)


@pytest.mark.parametrize("size", [("0", "480"), ("-5", "480"), ("480", "30000"), ("0", "0")])
def test_a_size_that_no_image_has(finished: Project, tmp_path: Path, size: tuple[str, str]) -> None:
    done = said(finished, "export-model", str(tmp_path / "model.pt2"), "--size", *size)
    found = f"found {size[0]} {size[1]}; expected a height and a width of 2 to 20,000 pixels; correct it"
    assert (done.status, done.error) == (2, f"error: seedbed export-model --size: {found}\n")


def test_what_weights_and_components_say_is_what_they_wrote(finished: Project, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "components.safetensors"):
        done = said(finished, *typed(name, tmp_path / "out"))
        assert done.status == 0, done.error
        assert f'file: "{tmp_path}/out/{name}", sha256: "{hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()}"' in done.out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "a.png"])
def test_a_folder_is_no_file_to_write(finished: Project, tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    done = said(finished, *typed(name, tmp_path / "out"))
    assert done.status == 2
    assert done.error == f"error: {tmp_path}/out/{name}: found a folder; expected a file, or nothing yet; name a file in it\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_on_a_full_disk_nothing_is_left_half_written(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (file := tmp_path / "out" / name).parent.mkdir()
    file.write_bytes(b"of before")
    if name == "a.png":  # replaces nothing but what it wrote itself
        file.unlink()
        assert said(finished, *typed(name, tmp_path / "out")).status == 0
    before = file.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    done = said(finished, *typed(name, tmp_path / "out"))
    place = "expected free space, in a folder where you may write; free some space, or name another folder"
    assert (done.status, done.out) == (2, "")
    assert done.error.splitlines()[-1] == f"error: {file}: found that it cannot be written: No space left on device; {place}"
    assert [*file.parent.iterdir()] == [file] and file.read_bytes() == before


@pytest.mark.slow
def test_torch_does_not_end_the_process_where_a_disk_is_full(finished: Project, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))

    done = program(finished, *typed("model.pt2", tmp_path / "out"), prepare=limit)
    assert done.status == 2 and "Traceback" not in done.error
    assert done.error.splitlines()[-1].startswith(f"error: {tmp_path}/out/model.pt2: found that it cannot be written: File too large; ")
    assert list((tmp_path / "out").iterdir()) == []
