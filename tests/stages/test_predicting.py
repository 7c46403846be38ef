"""`seedbed predict`, on a project in which every stage was run."""

from __future__ import annotations

import os
import resource
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from seedbed.predictions.multiscale import Multiscale
from seedbed.reads import read_probabilities
from seedbed.report import drawing
from seedbed.report.palette import make_palette
from seedbed.store.artifact import open_artifact
from seedbed.tools import predict as predicting
from seedbed.types import Image, LabelMap, PatchFeatures, Probabilities, Size
from tests.stages.commands import program, said
from tests.stages.miniature import Project, tree

ELSEWHERE = "name another folder, as with --to masks"


def draw(file: Path, size: Size = (40, 56)) -> Path:
    """Write a picture of blurred colours."""
    file.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert cv2.imwrite(str(file), cv2.resize(small, size[::-1]))
    return file


def labels_in(mask: Path) -> LabelMap:
    """What a mask says."""
    with PillowImage.open(mask) as opened:
        assert opened.mode == "P"
        return np.asarray(opened)


@pytest.mark.parametrize("crf", [[], ["--crf"]])
def test_a_picture_that_was_never_seen_gets_a_mask_of_its_size(finished: Project, tmp_path: Path, crf: list[str]) -> None:
    picture, out = draw(tmp_path / "my holiday.jpg", (70, 110)), tmp_path / "out"
    done = said(finished, "predict", str(picture), "--to", str(out), "--overlay", "--device", "cpu", *crf)
    assert done.status == 0, done.error
    assert done.out.startswith(f"{out}/my holiday.png: ") and "%" in done.out
    with PillowImage.open(out / "my holiday.png") as mask:
        assert mask.mode == "P" and mask.size == (110, 70)
        palette = np.array(mask.getpalette()).reshape(-1, 3)
    data = open_artifact("dataset", folder=finished.data)
    assert labels_in(out / "my holiday.png").max() <= data.num_classes
    assert np.array_equal(palette[: 1 + data.num_classes], make_palette(data.num_classes)) and palette[255].tolist() == [128, 128, 128]
    overlay = cv2.imread(str(out / "my holiday_overlay.png"))
    assert overlay is not None and overlay.shape == (70, 110, 3)
    assert sorted(one.name for one in out.iterdir()) == ["my holiday.png", "my holiday_overlay.png"]


def test_a_picture_of_the_data_set_is_segmented_as_in_the_pipeline(finished: Project, tmp_path: Path) -> None:
    check_predicted(finished, tmp_path, within=1.01 / 255)  # what is kept is rounded to a 255th


def check_predicted(project: Project, tmp_path: Path, *, within: float) -> None:
    """A picture of the data set gets the likeliest labels of what the pipeline has predicted, or others as likely but for a little."""
    predicted = open_artifact("predictions", folder=project.data)
    image = predicted.ids[0]
    done = said(project, "predict", f"data/raw/shapes/images/{image}.png", "--to", str(tmp_path), "--device", "cpu")
    assert done.status == 0, done.error
    labels = labels_in(tmp_path / f"{image}.png")
    kept = read_probabilities(predicted, image).resize(predicted.size(image)).maps
    said_of = np.take_along_axis(kept, labels[None].astype(np.int64), axis=0)[0]
    assert (said_of > kept.max(axis=0) - within).all()


def test_without_a_trained_network(indexed: Project) -> None:
    done = said(indexed, "predict", "data/raw/shapes/images/val_0000.png", "--device", "cpu")
    assert done.status == 2
    assert "error: data/segmenter.zarr: found nothing; expected the artifact of stage segmenter" in done.error


# --- What cannot be used ---


def test_bad_pictures_stop_no_other_and_are_named_at_the_end(finished: Project, tmp_path: Path) -> None:
    first, last, text = draw(tmp_path / "first.png"), draw(tmp_path / "last.png"), tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large.png").write_bytes(np.asarray(cv2.imencode(".png", np.zeros((1, 30_000, 3), np.uint8))[1]).tobytes())
    pictures = [str(one) for one in (first, tmp_path / "missing.png", text, tmp_path / "folder", tmp_path / "large.png", last)]
    out = tmp_path / "out"
    done = said(finished, "predict", *pictures, "--to", str(out), "--device", "cpu")
    assert done.status == 2
    assert [line.partition(": ")[0] for line in done.out.splitlines()] == [str(out / "first.png"), str(out / "last.png")]
    assert [labels_in(out / name).shape for name in ("first.png", "last.png")] == [(40, 56), (40, 56)]
    assert done.error.splitlines() == [
        f"error: {pictures[1]}: found no such file; expected a picture; correct the path",
        f"error: {text}: found 10 bytes that are not an image; expected a whole image file; replace the file",
        f"error: {pictures[3]}: found a folder; expected a picture; name the pictures in it",
        f"error: {pictures[4]}: found 1 x 30000 pixels; expected sides of 2 to 20,000 pixels, and no more than 100,000,000 in all; "
        "scale the image, or remove it",
    ]
    assert len([*out.iterdir()]) == 2


def test_a_picture_that_memory_does_not_suffice_for_stops_no_other(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Multiscale.predict

    def predict_small(method: Multiscale, network: Any, images: Sequence[Image], *more: Any, **named: Any) -> list[Probabilities]:
        if images[0].shape[1] == 56:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes")
        return predict(method, network, images, *more, **named)

    monkeypatch.setattr(Multiscale, "predict", predict_small)
    large, small = draw(tmp_path / "large.png"), draw(tmp_path / "small.png", (20, 28))
    done = said(finished, "predict", str(large), str(small), "--to", str(tmp_path / "out"), "--device", "cpu")
    assert done.status == 2 and (tmp_path / "out" / "small.png").is_file()
    do = "name a smaller --size, or use a larger machine"
    assert done.error == f"error: {large}: found that memory ran out; expected enough memory for this picture; {do}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "error: seedbed predict --size: found 0; expected 2 to 20,000 pixels; correct it\n"),
        (["--size", "-7"], "error: seedbed predict --size: found -7; expected 2 to 20,000 pixels; correct it\n"),
        (["--device", "gpu"], "error: --device or SEEDBED_DEVICE: found 'gpu'; expected one of: auto, cpu, cuda; correct it\n"),
    ],
)
def test_options_that_say_nothing_sensible_are_one_line(finished: Project, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = said(finished, "predict", str(draw(tmp_path / "a.png")), "--to", str(tmp_path / "out"), *arguments)
    assert (done.status, done.out, done.error) == (2, "", message)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_name_that_is_no_text_is_as_good_as_any(finished: Project, tmp_path: Path) -> None:
    picture = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    picture.write_bytes(draw(tmp_path / "cafe.jpg").read_bytes())
    broken = tmp_path / os.fsdecode(b"th\xe9.jpg")
    broken.write_bytes(b"")
    done = program(finished, "predict", str(picture), str(broken), "--to", str(tmp_path / "out"), "--device", "cpu")
    assert done.status == 2 and done.error.count("\n") == 1 and "th\\udce9.jpg: found 0 bytes that are not an image" in done.error
    assert done.out.startswith(f"{tmp_path}/out/caf\\udce9.png: ") and (tmp_path / "out" / os.fsdecode(b"caf\xe9.png")).is_file()


# --- Nothing is overwritten but what an earlier run has written ---


@pytest.mark.parametrize(
    ("there", "arguments", "message"),
    [
        (
            ["a.png"],
            ["a.png", "--to", "."],
            f"a.png: found a picture to be segmented; expected another file to write to; {ELSEWHERE}",
        ),
        (
            ["a.jpg", "a_overlay.png"],
            ["a.jpg", "--to", ".", "--overlay"],
            "a_overlay.png: found a file that `seedbed predict` did not write; expected no file, or one that it wrote; "
            f"move it, or {ELSEWHERE}",
        ),
        (
            ["a.jpg", "out/a.png/b"],
            ["a.jpg", "--to", "out"],
            "out/a.png: found a file that `seedbed predict` did not write; expected no file, or one that it wrote; "
            f"move it, or {ELSEWHERE}",
        ),
        (
            ["a.jpg", "b/a.jpg"],
            ["a.jpg", "b/a.jpg"],
            "a: found two pictures with this name; expected different names; segment them one after the other, each with its own --to",
        ),
        (
            ["a.jpg", "a_overlay.jpg"],
            ["a.jpg", "a_overlay.jpg", "--to", "out", "--overlay"],
            "out/a_overlay.png: found the mask of one picture and the overlay of another; expected different names; "
            "segment them one after the other",
        ),
        (["a.jpg", "out"], ["a.jpg", "--to", "out"], "out: found a file; expected a folder, or nothing yet; name another"),
    ],
)
def test_what_would_overwrite_something_is_refused_before_anything_is_computed(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], arguments: list[str], message: str
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(draw(tmp_path / "picture.png").read_bytes())
    before = tree(tmp_path)
    project = Project(tmp_path / "project")
    project.root.mkdir()
    for name in ("params.yaml", "data"):
        (project.root / name).symlink_to(finished.root / name)
    monkeypatch.setattr(predicting.Model, "labels", None)
    done = said(project, "predict", "--device", "cpu", *(f"../{one}" if one[0] in "abo." else one for one in arguments))
    assert done.status == 2 and done.out == "" and done.error.count("\n") == 1
    assert done.error.startswith("error: ") and message in done.error.replace("../", "").replace(str(tmp_path), "")
    assert {name: content for name, content in tree(tmp_path).items() if not name.startswith("project")} == before


def test_masks_and_overlays_of_an_earlier_run_are_replaced_but_not_taken_for_pictures(finished: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a.jpg", "a.png"):
        done = said(finished, "predict", str(draw(tmp_path / name)), "--to", str(out), "--overlay", "--device", "cpu")
        assert done.status == 0, done.error
    written = tree(out)
    assert sorted(written) == ["a.png", "a_overlay.png"]
    done = said(finished, "predict", str(out / "a.png"), "--to", str(out), "--device", "cpu")
    assert done.status == 2 and "a picture to be segmented" in done.error and tree(out) == written


# --- Pictures of any size ---


@pytest.mark.parametrize(
    ("size", "arguments", "seen"),
    [
        ((40, 56), [], (40, 56)),  # no image of the data set is larger than 72 x 80
        ((90, 300), [], (24, 80)),
        ((300, 90), [], (72, 22)),
        ((90, 300), ["--size", "150"], (45, 150)),
        ((90, 300), ["--size", "400"], (90, 300)),
    ],
)
@pytest.mark.parametrize("crf", [[], ["--crf"]])
def test_the_network_sees_a_picture_at_a_bounded_size(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Size, arguments: list[str], seen: Size, crf: list[str]
) -> None:
    predict = Multiscale.predict
    sizes: list[tuple[int, ...]] = []

    def predict_and_tell(method: Multiscale, network: Any, images: Sequence[Image], *more: Any, **named: Any) -> list[Probabilities]:
        sizes.extend(image.shape[:2] for image in images)
        return predict(method, network, images, *more, **named)

    monkeypatch.setattr(Multiscale, "predict", predict_and_tell)
    picture = draw(tmp_path / "a.png", size)
    done = said(finished, "predict", str(picture), "--to", str(tmp_path / "out"), "--device", "cpu", *arguments, *crf)
    assert done.status == 0, done.error
    assert sizes == [seen] and labels_in(tmp_path / "out" / "a.png").shape == size


def test_labels_after_the_crf_are_made_at_the_size_that_the_network_sees_and_enlarged() -> None:
    half = np.repeat([[1, 1, 0, 0]], 3, axis=0).astype(np.uint8)  # what the CRF says

    class Method:
        def predict(self, network: Any, images: Sequence[Image], patches: Sequence[PatchFeatures], *, device: str) -> list[Probabilities]:
            return [Probabilities(np.full((2, 3, 4), 0.5, np.float32))]

        def from_probabilities(self, images: Sequence[Image], probabilities: Sequence[Probabilities]) -> list[dict[str, LabelMap]]:
            assert [(one.shape, given.maps.shape) for one, given in zip(images, probabilities, strict=True)] == [((3, 4, 3), (2, 3, 4))]
            return [{"predictions_crf": half}]

        def load(self) -> None: ...

        device = "cpu"

    fake: Any = Method()
    model = predicting.Model(fake, (), fake, fake)
    assert model.labels(np.zeros((3, 4, 3), np.uint8), bound=(3, 4), with_crf=True).tolist() == half.tolist()
    enlarged = model.labels(np.zeros((9, 12, 3), np.uint8), bound=(3, 4), with_crf=True)
    assert enlarged.tolist() == np.repeat(np.repeat(half, 3, axis=0), 3, axis=1).tolist()


@pytest.mark.parametrize("numbers", [1, 200, 2**22])
@pytest.mark.parametrize("size", [(23, 41), (7, 5), (9, 64), (60, 4), (11, 13)])
def test_the_likeliest_class_in_blocks_of_rows_is_that_of_all_rows_at_once(
    monkeypatch: pytest.MonkeyPatch, numbers: int, size: Size
) -> None:
    monkeypatch.setattr(predicting, "NUMBERS", numbers)
    probabilities = Probabilities(np.random.default_rng(1).random((4, 11, 13), np.float32))
    assert np.array_equal(predicting.find_likeliest(probabilities, size), probabilities.resize(size).labels)


def test_enlarging_takes_hardly_more_memory_than_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "NUMBERS", 2**16)
    probabilities = Probabilities(np.random.default_rng(1).random((20, 30, 40), np.float32))
    tracemalloc.start()
    labels = predicting.find_likeliest(probabilities, (900, 1200))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < labels.nbytes + 2**21, "of all rows at once it is 80 times the labels"


@pytest.mark.parametrize("pixels", [1, 100, 2**20])
def test_drawing_over_blocks_of_rows_is_drawing_over_all(monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    monkeypatch.setattr(predicting, "PIXELS", pixels)
    random = np.random.default_rng(2)
    image = random.integers(0, 256, (29, 17, 3), dtype=np.uint8)
    labels = np.asarray(cv2.resize(random.integers(0, 3, (6, 5), dtype=np.uint8), (17, 29), interpolation=cv2.INTER_NEAREST), np.uint8)
    palette = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    expected = drawing.draw_overlay(image, labels, palette)
    predicting.draw_overlay(image, labels, palette)
    assert np.array_equal(image, expected)


@pytest.mark.slow
def test_a_large_picture_needs_little_more_memory_than_some_copies_of_it(finished: Project, tmp_path: Path) -> None:
    peaks = []
    for name, size in (("small.jpg", (60, 80)), ("large.jpg", (3000, 4000))):
        done = program(finished, "predict", str(draw(tmp_path / name, size)), "--to", str(tmp_path / "out"), "--overlay", "--device", "cpu")
        assert done.status == 0, done.error
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    assert peaks[1] - peaks[0] < 12 * 3000 * 4000 + 2**27
