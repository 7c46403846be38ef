"""Masks for other programs: what they read is what the artifact says, at the size of the image files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from seedbed import cli
from seedbed.dataset.voc import NAMES, Voc
from seedbed.errors import SeedbedError
from seedbed.report.palette import VOC_BORDER, make_palette
from seedbed.scoring.truth import Truth
from seedbed.tools.export_masks import export_test_server, export_voc
from seedbed.tools.export_source import Wanted
from tests.support.looking import IDS, LABELS, enlarge, predicted_labels, write_run

VOC_IDS = ("2007_000032", "2008_000042")
VOC: dict[str, Any] = {
    "reader": "voc",
    "names": ("cat", "dog"),
    "values": (0, 8, 12),
    "ids": VOC_IDS,
    "files": ("JPEGImages/0.png", "JPEGImages/1.png"),
}


@pytest.fixture(scope="module")
def voc_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_run(tmp_path_factory.mktemp("export") / "voc", **VOC, only=["refinement"]))


def read(content: bytes) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.uint8]], np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]]:
    """Numbers and colours of a mask."""
    with PillowImage.open(io.BytesIO(content)) as opened:
        assert opened.mode == "P"
        return np.asarray(opened), np.asarray(opened.convert("RGB"))


def test_masks_have_the_numbers_of_the_data_set_and_show_in_the_colours_of_classes(voc_run: str, tmp_path: Path) -> None:
    assert export_voc(Wanted("refinement", voc_run), tmp_path / "out") == "2 images"
    numbers, colours = read((tmp_path / f"out/SegmentationClass/{VOC_IDS[0]}.png").read_bytes())
    assert np.array_equal(
        numbers,
        np.array([0, 8, 12], np.uint8)[np.where(enlarge(LABELS[0]) == 255, 0, enlarge(LABELS[0]))]
        | (enlarge(LABELS[0]) == 255) * np.uint8(255),
    )
    palette = make_palette(2)
    for number, colour in ((0, palette[0]), (8, palette[1]), (12, palette[2]), (255, VOC_BORDER)):
        assert (colours[numbers == number] == colour).all() and (numbers == number).any()
    assert (tmp_path / "out/ImageSets/Segmentation/train.txt").read_text() == f"{VOC_IDS[0]}\n"
    lines = (tmp_path / "out/labelmap.txt").read_text().splitlines()
    assert lines[1] == "background:0,0,0::" and lines[9] == "cat:230,159,0::" and lines[13] == "dog:86,180,233::" and len(lines) == 14


def test_our_reader_of_voc_reads_the_same_labels(voc_run: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_voc(Wanted("refinement", voc_run), out)
    (out / "JPEGImages").mkdir()
    for image_id in VOC_IDS:
        PillowImage.new("RGB", (16, 12)).save(out / "JPEGImages" / f"{image_id}.jpg")
    index = Voc(difficult=True, lists="ImageSets/Segmentation").read(out)
    assert [one.id for one in index.entries] == list(VOC_IDS) and index.split_names == ["train", "val"]
    truth = Truth.of("voc", out, {one.id: one.file for one in index.entries}, index.meaning)
    for image_id, labels in zip(VOC_IDS, LABELS, strict=True):
        expected = np.array([0, 1 + NAMES.index("cat"), 1 + NAMES.index("dog"), *[0] * 252, 255], np.uint8)[enlarge(labels)]
        original = truth.original(image_id, (12, 16))
        assert original is not None and np.array_equal(original, expected)


def test_one_split_of_predictions(run: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["export", "voc", str(tmp_path / "out"), "--from", "predictions", "--split", "val", "--run", run])
    assert done.stdout == f"{tmp_path}/out: 1 images\n", done.output
    numbers, _ = read((tmp_path / f"out/SegmentationClass/{IDS[1]}.png").read_bytes())
    assert np.array_equal(numbers, predicted_labels())
    assert [one.name for one in (tmp_path / "out/ImageSets/Segmentation").iterdir()] == ["val.txt"]
    assert (tmp_path / "out/ImageSets/Segmentation/val.txt").read_text() == f"{IDS[1]}\n"


def test_images_without_any_label_are_left_out_and_counted(run: str, tmp_path: Path) -> None:
    assert export_voc(Wanted("seeds", run), tmp_path / "out") == "1 images; 1 without any label are left out"
    assert [one.name for one in (tmp_path / "out/ImageSets/Segmentation").iterdir()] == ["train.txt"]


def test_the_archive_of_the_test_server(voc_run: str, tmp_path: Path) -> None:
    for name in ("a.tar.gz", "b.tar.gz"):
        told = export_test_server(Wanted("refinement", voc_run), tmp_path / name, competition=5)
    assert told == "2 images; pixels without a label are background, in 1 of them"
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        folder = "results/VOC2012/Segmentation/comp5_test_cls"
        assert archive.getnames() == [f"{folder}/{one}.png" for one in VOC_IDS]
        for image_id, labels in zip(VOC_IDS, LABELS, strict=True):
            member = archive.extractfile(f"{folder}/{image_id}.png")
            assert member is not None
            numbers, colours = read(member.read())
            assert np.array_equal(numbers, np.array([0, 8, 12, *[0] * 253], np.uint8)[enlarge(labels)])
            assert (colours[numbers == 12] == make_palette(2)[2]).all()


def test_what_the_test_server_does_not_take_is_refused(run: str, voc_run: str, tmp_path: Path) -> None:
    with pytest.raises(SeedbedError) as raised:
        export_test_server(Wanted("refinement", run), tmp_path / "a.tar.gz", competition=6)
    found = "found a data set that was read as folder; expected VOC, whose server it is; run `seedbed export voc`"
    assert str(raised.value) == f"data/dataset.zarr: {found}"
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SeedbedError) as raised:
        export_test_server(Wanted("refinement", voc_run), tmp_path / "mine", competition=6)
    assert str(raised.value) == f"{tmp_path}/mine: found something; expected nothing yet; remove it, or name another file"
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            {"artifact": "beauty"},
            "beauty: found no such artifact; expected one of: dataset, features, superpixels, cams, seeds, refinement",
        ),
        ({"artifact": "cams"}, "cams: found nothing of that kind; expected an artifact with labels, probabilities; name another"),
        ({"artifact": "seeds", "array": "maps"}, "seeds, --array: found maps; expected one of: labels; choose one"),
        ({"artifact": "seeds", "split": "test"}, "found no split 'test'; expected one of: train, val"),
        ({"artifact": "predictions", "split": "train"}, "predictions: found no image of split 'train'; expected some to export"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(run: str, tmp_path: Path, wanted: dict[str, str], said: str) -> None:
    with pytest.raises(SeedbedError) as raised:
        export_voc(Wanted(run=run, **wanted), tmp_path / "out")
    assert said in str(raised.value) and not (tmp_path / "out").exists()


def test_ids_that_lead_out_of_the_folder_are_refused_by_every_export(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", ids=("good", "../../evil"), only=["refinement", "cams"])
    for what in ("voc", "coco", "labelling"):
        done = CliRunner().invoke(cli.app, ["export", what, str(tmp_path / "out"), "--from", "refinement", "--run", str(root)])
        assert done.exit_code == 2 and done.stderr.startswith("error: '../../evil': found an id that leads out of a folder"), done.output
    done = CliRunner().invoke(cli.app, ["export", "npy", str(tmp_path / "out"), "--from", "cams", "--run", str(root)])
    assert done.exit_code == 2 and sorted(one.name for one in tmp_path.iterdir()) == ["run"]
