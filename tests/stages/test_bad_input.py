"""What a user sees who made a mistake: one line, which says where, what was found, what was expected and what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from seedbed.errors import ArtifactError, DataError, MachineError, ParamsError, TrainingError
from seedbed.params import Params
from seedbed.run import memory
from seedbed.run.stage import Run, run_stage
from seedbed.store.artifact import open_artifact
from seedbed.store.records import digest
from tests.stages.miniature import Project
from tests.stages.surviving import change_params

Done = CompletedProcess[str]


def assert_refused(done: Done, *parts: str, after: str = "") -> None:
    """A program said one line with all these parts, and nothing else.

    after: how a line of progress begins that stands before it.
    """
    assert "Traceback" not in done.stderr, done.stderr
    *before, line = done.stderr.splitlines()
    assert len(before) == bool(after) and all(one.startswith(after) for one in before), done.stderr
    assert line.startswith("error: ")
    assert done.stdout == ""
    for part in (": found ", "; expected ", *parts):
        assert part in line, line
    assert done.returncode == 2


def test_a_stage_that_works_says_how_long_it_took(fresh: Project) -> None:
    done = fresh.program("dataset")
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr.startswith("dataset: 9 images in ")


# --- Parameters ---


def test_no_parameters(fresh: Project) -> None:
    (fresh.root / "params.yaml").unlink()
    assert_refused(fresh.command("dataset"), "error: params.yaml: found no such file", "run this in the project's folder")


def test_malformed_parameters(fresh: Project) -> None:
    (fresh.root / "params.yaml").write_text("dataset:\n  method: [shapes\nfeatures: {}\n")
    assert_refused(fresh.command("dataset"), "error: params.yaml, line 3, column", "found a mistake in the YAML", "correct that line")


def test_a_typing_error_in_the_section_of_another_stage(fresh: Project) -> None:
    content = fresh.params()
    content["superpixels"]["dino"]["treshold"] = content["superpixels"]["dino"].pop("threshold")
    fresh.write_params(content)
    expected = "error: params.yaml: superpixels.dino.treshold: found a name that nothing reads"
    assert_refused(fresh.command("dataset"), expected, "(nearest: threshold)", "`seedbed methods`")


def test_a_value_out_of_range(fresh: Project) -> None:
    content = fresh.params()
    content["dataset"]["max_size"] = [72, 8]
    fresh.write_params(content)
    assert_refused(fresh.command("dataset"), "params.yaml: dataset.max_size.1: found 8; expected greater than or equal to 16")


def test_an_unknown_method(fresh: Project) -> None:
    content = fresh.params()
    content["dataset"]["method"] = "foldr"
    fresh.write_params(content)
    expected = "error: params.yaml: dataset.method: found 'foldr'; expected one of: coco, davis, folder, shapes, voc (nearest: folder)"
    assert_refused(fresh.command("dataset"), expected, "run `seedbed methods`")


def test_an_unknown_split(own: Project) -> None:
    content = own.params()
    content["classifier"]["split"] = "trian"
    own.write_params(content)
    with pytest.raises(ArtifactError, match=r"found no split 'trian'; expected one of: train, val; correct the split in params.yaml"):
        own.run("classifier")


def test_an_unknown_backbone(own: Project) -> None:
    content = own.params()
    content["classifier"]["cam"]["backbone"]["network"] = "resnet51"
    own.write_params(content)
    with pytest.raises(ParamsError, match=r"network: found 'resnet51'; expected a network of timm .* \(nearest: resnet"):
        own.run("classifier")


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, r"params.yaml: segmenter.maps.labels: found nothing; expected an artifact with `labels`: seeds, refinement"),
        ({"labels": "cams"}, r"params.yaml: segmenter.maps.labels: found 'cams'; expected an artifact with `labels`: seeds, refinement"),
        ({"labels": "seeds", "regions": "superpixels"}, r"params.yaml: segmenter.maps.regions: found 'superpixels'; expected 'none'"),
        (
            {"labels": "refinement", "confidence": "refinement", "objects": "none"},
            r"segmenter.maps.confidence: found 'refinement'; expected 'none', because",
        ),
        (
            {"labels": "seeds", "lables": "dataset"},
            r"params.yaml: segmenter.maps.lables: found the map 'lables', which no stage produces; expected labels",
        ),
    ],
)
def test_maps_from_an_artifact_that_has_none(own: Project, maps: dict[str, str], message: str) -> None:
    content = own.params()
    content["segmenter"] |= {"method": "pseudo_masks", "maps": maps}
    own.write_params(content)
    with pytest.raises(ParamsError, match=message):
        own.run("segmenter")


def test_confidence_that_is_wanted_and_not_there(own: Project) -> None:
    block = own.params()["segmenter"]["pseudo_masks"] | {"least_confidence": 0.5}
    change_params(
        own, "segmenter", method="pseudo_masks", pseudo_masks=block, maps={"labels": "refinement", "confidence": "none", "objects": "none"}
    )
    for stage in ("classifier", "cams", "refinement"):
        own.run(stage)
    with pytest.raises(ParamsError, match=r"maps.confidence: found 'none'; expected an artifact with `confidence`: refinement;"):
        own.run("segmenter")
    change_params(own, "segmenter", maps={"labels": "refinement", "confidence": "refinement", "objects": "none"})
    own.run("segmenter")
    assert set(open_artifact("segmenter", folder=own.data).made_by.inputs) == {"dataset", "refinement"}


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("classifier", r"params.yaml: segmenter.start: found 'classifier'; expected 'none', unless initial_weights.source is classifier"),
        ("cams", r"params.yaml: segmenter.start: found 'cams'; expected an artifact of the kind classifier, or 'none'"),
    ],
)
def test_a_start_that_the_selected_method_does_not_read(finished: Project, tmp_path: Path, start: str, message: str) -> None:
    project = finished.copy_to(tmp_path)
    change_params(project, "segmenter", start=start)
    with pytest.raises(ParamsError, match=message):
        project.run("segmenter")


# --- Raw data ---


def read_folder(project: Project, root: str = "data/raw/mine") -> None:
    """Make a project read a folder of its user's."""
    content = project.params()
    content["dataset"] |= {"method": "folder", "root": root, "folder": {"classes": ["cat", "dog"], "complete": True}}
    project.write_params(content)


def test_no_data(fresh: Project) -> None:
    read_folder(fresh)
    assert_refused(fresh.command("dataset"), "error: data/raw/mine: found no such folder", "put it there, or correct dataset.root")


def test_wrong_entries_of_a_data_set(fresh: Project) -> None:
    read_folder(fresh)
    (fresh.data / "raw" / "mine").mkdir(parents=True)
    (fresh.data / "raw" / "mine" / "labels.csv").write_text("image,labels,split\na.png,cta,train\n")
    parts = ("found 2 problems: labels.csv, line 2: there is no a.png; labels.csv, line 2: unknown label 'cta' (nearest: cat)",)
    assert_refused(fresh.command("dataset"), *parts, "correct them")


@pytest.mark.parametrize("root", ["", ".", "data", "..", "/"])
def test_a_root_that_is_none_or_the_project_itself(fresh: Project, root: str) -> None:
    read_folder(fresh, root=root)
    message = rf"^params.yaml: dataset.root: found '{root}'; expected a folder below the project; correct it$"
    with pytest.raises(ParamsError, match=message):
        fresh.run("dataset")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (Path.touch, "a file"),
        (os.mkfifo, "a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to(path.name), "a link that leads in a circle"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    ],
)
@pytest.mark.parametrize("method", ["folder", "voc", "coco"])
def test_a_root_that_is_no_folder(fresh: Project, method: str, make: Callable[[Path], object], found: str) -> None:
    read_folder(fresh)
    change_params(fresh, "dataset", method=method)
    (fresh.data / "raw").mkdir(parents=True)
    make(fresh.data / "raw" / "mine")
    with pytest.raises(DataError, match=rf"^data/raw/mine: found {found}; expected a folder .*correct dataset.root in params.yaml$"):
        fresh.run("dataset")


def test_a_pipe_in_the_place_of_the_table_is_not_waited_for(fresh: Project) -> None:
    read_folder(fresh)
    (fresh.data / "raw" / "mine").mkdir(parents=True)
    os.mkfifo(fresh.data / "raw" / "mine" / "labels.csv")
    expected = "error: data/raw/mine: found 1 paths that DVC cannot read: labels.csv: a pipe; expected only readable files"
    assert_refused(fresh.command("dataset"), expected)


def test_names_that_are_not_utf_8_can_be_printed(fresh: Project) -> None:
    read_folder(fresh)
    folder = fresh.data / "raw" / "mine" / "masks"
    folder.mkdir(parents=True)
    os.close(os.open(os.fsencode(folder) + b"/k\xf6ttur.png", os.O_CREAT))
    assert_refused(fresh.program("dataset"), "data/raw/mine: found 1 paths", "masks/k\\udcf6ttur.png: a name that is not UTF-8; ")


def test_links_to_folders_are_told_of(fresh: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DVC does not look behind them, so that a change there runs nothing."""
    read_folder(fresh)
    root = fresh.data / "raw" / "mine"
    root.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "images").symlink_to(tmp_path / "elsewhere")
    cv2.imwrite(str(root / "images" / "a.png"), np.zeros((20, 30, 3), np.uint8))
    (root / "labels.csv").write_text("image,labels,split\na.png,cat,train\n")
    fresh.run("dataset")
    expected = "dataset: links to folders, in which DVC sees no change: images; after one, run `dvc repro --force --single-item dataset`\n"
    assert capsys.readouterr().err.startswith(expected)


def test_wrong_bytes_within_an_image_are_named(fresh: Project) -> None:
    read_folder(fresh)
    folder = fresh.data / "raw" / "mine" / "images"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
    content = bytearray(cv2.imencode(".jpg", picture)[1].tobytes())
    half = len(content) // 2
    content[half : half + 60] = random.integers(0, 255, 60, np.uint8).tobytes()
    (folder / "a.jpg").write_bytes(content)
    (folder.parent / "labels.csv").write_text("image,labels,split\na.jpg,cat,train\n")
    with pytest.raises(DataError, match=r"1 images that cannot be used: images/a\.jpg: a JPEG file with wrong bytes: Corrupt JPEG data: "):
        fresh.run("dataset")


def test_images_that_are_broken_or_too_large(fresh: Project) -> None:
    read_folder(fresh)
    folder = fresh.data / "raw" / "mine" / "images"
    folder.mkdir(parents=True)
    content = cv2.imencode(".png", np.zeros((20, 99, 3), np.uint8))[1].tobytes()
    (folder / "large.png").write_bytes(content)
    (folder / "half.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    rows = "".join(f"{name},cat,train\n" for name in ("large.png", "half.png", "empty.jpg"))
    (folder.parent / "labels.csv").write_text(f"image,labels,split\n{rows}")
    parts = ("found 3 images that cannot be used", "large.png: 20 x 99 pixels", "half.png: ", "empty.jpg: 0 bytes that are not an image")
    more = ("no larger than dataset.max_size, 72 x 80", "or let dataset.allow_broken, now 0, leave broken images out")
    assert_refused(fresh.command("dataset"), *parts, *more, after="dataset: 3 images in ")
    assert not (fresh.data / "dataset.zarr").exists()


def test_an_image_that_changed_since_it_was_indexed(own: Project) -> None:
    (own.raw / "images" / "train_0003.png").unlink()
    assert_refused(
        own.command("features"), "error: data/raw/shapes/images/train_0003.png: found no such file", "or run `dvc repro dataset`"
    )


def test_splits_of_later_stages_are_looked_at_first(fresh: Project) -> None:
    """`predictions` needs its split after both trainings."""
    content = fresh.params()
    content["predictions"]["split"] = "test"
    content["evaluation"]["split"] = "trian"
    fresh.write_params(content)
    done = fresh.command("dataset")
    assert done.returncode == 0
    expected, do = "to which no image belongs; expected one of: train, val", "correct it, or let some belong to it"
    assert done.stderr.splitlines()[1:] == [
        f"dataset: warning: params.yaml: predictions.split: found 'test', {expected}; {do}",
        f"dataset: warning: params.yaml: evaluation.split: found 'trian', {expected} (nearest: train); {do}",
    ]


def test_splits_of_later_stages_change_nothing_that_is_indexed(own: Project) -> None:
    before = open_artifact("dataset", folder=own.data).digest
    content = own.params()
    content["predictions"]["split"] = "test"
    own.write_params(content)
    own.run("dataset")
    assert open_artifact("dataset", folder=own.data).digest == before


# --- Artifacts ---


@pytest.mark.parametrize(("stage", "missing"), [("features", "dataset"), ("superpixels", "dataset"), ("seeds", "dataset")])
def test_a_stage_before_all_others(fresh: Project, stage: str, missing: str) -> None:
    expected = f"error: data/{missing}.zarr: found nothing; expected the artifact of stage {missing}; run `dvc repro {missing}`"
    assert_refused(fresh.command(stage), expected)


@pytest.mark.parametrize(("stage", "missing"), [("superpixels", "features"), ("seeds", "cams"), ("refinement", "cams")])
def test_a_stage_before_its_own_inputs(own: Project, stage: str, missing: str) -> None:
    expected = f"error: data/{missing}.zarr: found nothing; expected the artifact of stage {missing}; run `dvc repro {missing}`"
    assert_refused(own.command(stage), expected)


def test_an_artifact_of_an_older_schema(own: Project) -> None:
    path = own.data / "dataset.zarr" / "zarr.json"
    metadata = json.loads(path.read_text())
    record = metadata["attributes"]["seedbed"]
    record |= {"schema": 1}
    record["digest"] = digest({name: value for name, value in record.items() if name != "digest"})
    path.write_text(json.dumps(metadata))
    parts = ("expected schema 4, which this version reads", "run `dvc repro --force --single-item dataset`")
    assert_refused(own.command("features"), "error: data/dataset.zarr: found schema 1", *parts)


def test_an_artifact_whose_record_was_edited(own: Project) -> None:
    path = own.data / "dataset.zarr" / "zarr.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"shapes"', '"folder"'), encoding="utf-8")
    parts = ("found something that Seedbed did not write", "run `dvc repro --force --single-item dataset`")
    assert_refused(own.command("features"), "error: data/dataset.zarr: ", *parts)


def test_an_artifact_of_which_a_file_is_missing(own: Project) -> None:
    shutil.rmtree(own.data / "dataset.zarr" / "labels")
    assert_refused(own.command("features"), "error: data/dataset.zarr: found no labels/", "run `dvc repro --force --single-item dataset`")


# --- The store ---


@pytest.mark.parametrize("place", [".work", ".work/dataset", ".work/dataset/lock/in it"])
def test_something_in_the_place_of_the_store(fresh: Project, place: str) -> None:
    file = fresh.data / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    wrong = file.parent if "lock" in place else file
    assert_refused(fresh.command("dataset"), f"error: {wrong}: found ", "; expected ", "remove")


def test_something_in_the_place_of_a_table_beside_the_artifact(own: Project) -> None:
    (own.data / "plots/pretraining.csv").unlink()
    (own.data / "plots/pretraining.csv").mkdir()
    reused = "pretraining: reused"
    assert_refused(own.command("pretraining"), "error: data/plots/pretraining.csv: found is a directory", "check what it is", after=reused)


# --- How to run ---


def test_no_workers(fresh: Project) -> None:
    assert_refused(fresh.command("dataset", "--workers", "0"), "--workers", "expected 1 or more")


def test_a_number_of_workers_in_the_environment_that_is_none(fresh: Project) -> None:
    assert_refused(fresh.command("dataset", environment={"SEEDBED_WORKERS": "two"}), "SEEDBED_WORKERS", "'two'")


def test_a_device_in_the_environment_that_is_none(fresh: Project) -> None:
    assert_refused(fresh.command("dataset", environment={"SEEDBED_DEVICE": "gpu"}), "SEEDBED_DEVICE", "'gpu'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(fresh: Project) -> None:
    run = Run("classifier", Params(fresh.params()), device_wanted="cuda")
    with pytest.raises(MachineError) as raised:
        _ = run.device
    assert str(raised.value) == "--device: found cuda; expected a GPU that torch can use; run `seedbed doctor`, or use --device cpu"


@pytest.mark.parametrize("wanted", ["cpu", "auto"])
def test_a_gpu_is_used_where_there_is_one_and_it_is_wanted(fresh: Project, wanted: str) -> None:
    expected = "cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu"
    assert Run("classifier", Params(fresh.params()), device_wanted=wanted).device == expected


def test_more_processes_than_gpus(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "device", "cuda")
    monkeypatch.setattr("seedbed.run.stage._count_gpus", int)
    run = Run("classifier", Params(fresh.params()), devices=2)
    with pytest.raises(MachineError, match=r"^--devices or SEEDBED_DEVICES: found 2 with 1 visible GPUs; expected at most one for each"):
        _ = run.machine
    assert Run("classifier", Params(fresh.params()), devices=1).machine.devices == 1


def test_only_methods_that_use_a_gpu_get_one(
    fresh: Project, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run("refinement", Params(fresh.params()))
    monkeypatch.setattr(Run, "device", "cuda")
    places = [run.place(small_method("refinement", name)) for name in ("crf", "none")]
    assert [one.device for one in places] == ["cuda", "cpu"]
    assert [one.key("a") for one in places] == ["", ""], "no result follows from it"


def test_more_memory_than_there_is_is_said_at_the_beginning(
    own: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "measure_available", lambda device: 1000)
    own.run("features", "superpixels", "classifier")
    said = [line for line in capsys.readouterr().err.splitlines() if " warning: " in line]
    do = ("let images be smaller", "choose features with larger patches", "raise the micro_batches of its training")
    stages = ("features", "superpixels", "classifier")
    assert len(said) == 3
    for line, stage, advice in zip(said, stages, do, strict=True):
        assert line.startswith(f"{stage}: warning: needs about ") and f"of memory, but there are 1.0 kB: {advice}" in line
    own.run("features", "superpixels", "classifier")
    assert "warning" not in capsys.readouterr().err, "nothing is computed, so nothing is needed"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError("Unable to allocate 1.00 EiB"), "Unable to allocate 1.00 EiB"),
        (
            RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "DefaultCPUAllocator: can't allocate memory: 9 bytes",
        ),
        (
            RuntimeError("Traceback\n  in a worker\nnumpy._core._exceptions._ArrayMemoryError: no room"),
            "numpy._core._exceptions._ArrayMemoryError: no room",
        ),
    ],
)
def test_no_memory_left(
    fresh: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, found: str
) -> None:
    def main(run: Run) -> None:
        raise error

    monkeypatch.chdir(fresh.root)
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as ended:
        run_stage(main, "cams")
    assert ended.value.code == 2
    do = "run `seedbed plan`; use fewer --workers, or smaller crops, scales, batches or images"
    line = f"error: stage cams: found that memory ran out: {found}; expected enough memory for what it computes at once; {do}\n"
    assert capsys.readouterr().err == line


def test_another_error_stays_what_it_is(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(run: Run) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.chdir(fresh.root)
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run_stage(main, "cams")


def test_artifacts_of_two_data_sets_are_not_mixed(finished: Project, tmp_path: Path) -> None:
    own = finished.copy_to(tmp_path)
    table = own.raw / "labels.csv"
    content = own.params()
    content["dataset"] |= {
        "method": "folder",
        "folder": {"classes": [str(one) for one in open_artifact("dataset", folder=own.data).array("class_names")[1:]], "complete": True},
    }
    own.write_params(content)
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([header, *reversed(lines)]) + "\n", encoding="utf-8")
    own.run("dataset")
    with pytest.raises(ArtifactError, match=r"cams\.zarr: found an artifact made from a different data/dataset\.zarr; .* run `dvc repro`"):
        own.run("seeds")


def test_a_training_that_diverges_leaves_no_weights(finished: Project, tmp_path: Path) -> None:
    own = finished.copy_to(tmp_path)
    content = own.params()
    content["classifier"]["cam"]["descent"] |= {"learning_rate": 1000, "weight_decay": 1000, "warmup": 0}
    content["classifier"]["cam"]["training"]["epochs"] = 3
    own.write_params(content)
    before = open_artifact("classifier", folder=own.data).digest
    with pytest.raises(TrainingError, match=r"classifier, step \d+: found a loss of (nan|inf); .* lower its learning_rate"):
        own.run("classifier")
    assert open_artifact("classifier", folder=own.data).digest == before


def test_class_names_must_differ(own: Project) -> None:
    content = own.params()
    for classes in (["cat", "cat"], ["background", "cat"]):
        content["dataset"] |= {"method": "folder", "folder": {"classes": classes, "complete": True}}
        own.write_params(content)
        with pytest.raises(ParamsError, match="expected classes with distinct names, none of them 'background'"):
            own.run("dataset")
