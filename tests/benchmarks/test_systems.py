"""Systems against each other: which parameters a run has, what is kept of it, and what tables say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from benchmarks import systems
from benchmarks._costs import Cost
from benchmarks._places import Place, order_stages
from benchmarks._records import BOOK, RUNNING, Book, Record, digest, keep_record, read_records
from seedbed.corrections import Corrections, read_lines
from seedbed.errors import DataError, SeedbedError
from seedbed.images import Images
from seedbed.params import Params
from seedbed.scoring.truth import Truth
from seedbed.store.artifact import open_artifact
from seedbed.tools import predict
from seedbed.types import IGNORE
from tests.conftest import PROJECT

WEIGHTS = {"resnet50": "data/weights/shapes_vit.safetensors"}
COST = Cost(seconds=90.0, processors=60.0, peak=2_000_000_000)


def make_record(system: str, seed: int, *, predictions: float = 0.5, **changed: Any) -> Record:
    """A record of a run with present parameters."""
    figures = {
        kind: {"miou": value, "iou": {"background": value, "cat": value}, "things": {"below 0.02": {"count": 3, "iou": value}}}
        for kind, value in (("class_maps", 0.4), ("predictions", predictions), ("predictions_crf", 0.6))
    }
    parameters = digest(systems.make_params("shapes", system, seed))
    record = Record(system, seed, "abc", parameters, {}, "a machine", figures, {"classifier": COST, "cams": None}, [("val_1", 0.25)])
    return replace(record, **changed)


def test_benchmarks_start_as_we_say_they_do() -> None:
    """As modules: of a file that is run, Python would not find the others."""
    pages = [PROJECT / "Makefile", *PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("benchmarks/*.*")]
    assert [page for page in pages if "python benchmarks/" in page.read_text(encoding="utf-8")] == []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "benchmarks.systems", "--help"]
    assert "--systems" in subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True).stdout


def test_every_stage_comes_after_those_that_it_reads() -> None:
    order = order_stages(systems.make_params("shapes", "fbr", 0))
    places = [order.index(name) for name in ("dataset", "seeds", "classifier_second", "cams_second", "seeds_second", "affinity", "edges")]
    assert places == sorted(places) and order[-1] == "evaluation"
    order = order_stages(systems.make_params("shapes", "fbr_saliency", 0))
    assert order.index("superpixels") < order.index("saliency") < order.index("classifier")


@pytest.mark.parametrize("system", [*systems.SYSTEMS, systems.BOUND])
def test_every_training_of_a_run_has_its_seed(system: str) -> None:
    one, other = (systems.make_params("shapes", system, seed) for seed in (0, 7))
    trained = [name for name, section in one.items() if "training" in (section.get(section["method"]) or {})]
    assert {"classifier", "segmenter"} <= {*trained}
    assert {other[name][other[name]["method"]]["training"]["seed"] for name in trained} == {7}
    assert one["dataset"] == other["dataset"]
    Params(one, source=system)


def test_networks_begin_with_files_where_the_hub_is_not_wanted() -> None:
    params: dict[str, Any] = {
        "classifier": {"cam": {"backbone": {"network": "resnet50", "initial_weights": {"source": "hub", "file": "", "sha256": ""}}}},
        "affinity": {"psa": {"backbone": {"network": "resnet50", "initial_weights": {"source": "classifier", "file": "", "sha256": ""}}}},
        "features": {"vit": {"architecture": "vit", "initial_weights": {"source": "hub", "file": "", "sha256": ""}}},
    }
    systems.take_files(params, WEIGHTS)
    begins = params["classifier"]["cam"]["backbone"]["initial_weights"]
    assert (begins["source"], begins["file"], len(begins["sha256"])) == ("file", WEIGHTS["resnet50"], 64)
    assert params["affinity"]["psa"]["backbone"]["initial_weights"]["source"] == "classifier"
    assert params["features"]["vit"]["initial_weights"]["source"] == "hub"


@pytest.mark.parametrize("file", ["data/weights/missing.safetensors", str(PROJECT / WEIGHTS["resnet50"])])
def test_weights_are_files_that_a_record_may_name(file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["systems.py", "write", "--weights", "resnet50", file])
    with pytest.raises(SystemExit):
        systems.main()
    assert f"{file} is no file of this checkout" in capsys.readouterr().err


def test_records_are_lines_in_order_and_the_later_of_a_run_counts(tmp_path: Path) -> None:
    for record in (make_record("irn", 1), make_record("crf", 1), make_record("crf", 0), make_record("crf", 1, commit="def")):
        keep_record("shapes", record, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "shapes.jsonl").read_text().splitlines()]
    assert [(one["system"], one["seed"], one["commit"]) for one in lines] == [("crf", 0, "abc"), ("crf", 1, "def"), ("irn", 1, "abc")]
    assert read_records("shapes", folder=tmp_path)["crf", 1] == make_record("crf", 1, commit="def")
    assert read_records("voc6", folder=tmp_path) == {}


def test_runs_of_another_recipe_are_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    records = [make_record("crf", 0), make_record("crf", 1, parameters="of another"), make_record("crf", 2)]
    monkeypatch.setattr(systems, "read_records", lambda _: {one.place: one for one in records})
    [runs] = systems.gather("shapes")
    assert [one.seed for one in runs.records] == [0, 2]
    assert "shapes, crf: its recipe has changed since seeds [1], which are left out: run them again\n" in capsys.readouterr().err


def test_tables_tell_means_spread_costs_and_differences() -> None:
    plain = systems.Runs("crf", [make_record("crf", seed, predictions=0.5) for seed in (0, 1)])
    better = systems.Runs("irn", [make_record("irn", seed, predictions=0.6 + seed / 50) for seed in (0, 1)])
    bound = systems.Runs("truth", [make_record("truth", 0, predictions=0.9)])
    _, _, *lines = systems.tabulate_systems("shapes", [plain, better, bound]).splitlines()
    of_plain, of_better, of_bound = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert of_better[:3] == ["[`irn`](../recipes/shapes_irn.yaml)", "2", "0.400"] and "0.610 ± 0.014" in of_better
    assert of_plain[-4:-1] == ["1.0", "", ""]  # of all stages there is one of which nobody knows
    whole = make_record("crf", 1, costs={"classifier": COST, "cams": replace(COST, peak=3_000_000_000)})
    assert systems.Runs("crf", [*plain.records, whole]).peak() == "3.0"
    assert of_better[-1].startswith("mIoU 63.5 val, 64.8 test") and of_plain[-1] == ""
    assert of_bound[2] == "" and "0.900" in of_bound  # whose class maps are those of another
    assert "**+0.110 (+0.100 to +0.120)**" in systems.tabulate_differences([plain, better])
    assert systems.tabulate_parts([plain, better], "iou").splitlines()[0::3] == [
        "|  | background | cat |",
        "| `irn` | 0.610 ± 0.014 | 0.610 ± 0.014 |",
    ]
    assert systems.tabulate_parts([plain, better], "things").splitlines()[0::3] == [
        "|  | below 0.02 (3 things) |",
        "| `irn` | 0.610 ± 0.014 |",
    ]
    assert systems.tell_differences([-0.1, 0.2]) == "+0.050 (-0.100 to +0.200)" and systems.tell_differences([]) == ""


def test_what_is_reused_costs_what_it_cost_and_after_a_kill_nobody_knows(tmp_path: Path) -> None:
    params = systems.make_params("shapes", "crf", 0)
    params["dataset"] |= {"root": str(tmp_path / "raw"), "shapes": {**params["dataset"]["shapes"], "num_train": 3, "num_val": 2}}
    place, book = Place(tmp_path / "run"), Book(Place(tmp_path / "run"))
    place.prepare(params)
    first, again = book.measure("dataset"), book.measure("dataset")
    assert first is not None and again == first and first.seconds > 0 and first.peak > 10_000_000
    assert json.loads((place.folder / RUNNING).read_text()) == {}
    shutil.rmtree(place.folder / "data" / ".work")
    killed, other = f"dataset {digest({'dataset': params['dataset']})}", f"dataset {digest({})}"
    (place.folder / RUNNING).write_text(json.dumps({killed: True, other: True}))
    assert book.measure("dataset") is None and json.loads((place.folder / RUNNING).read_text()) == {other: True}
    assert json.loads((place.folder / BOOK).read_text()) == {open_artifact("dataset", folder=place.folder / "data").digest: None}


def test_what_was_interrupted_is_known_by_all_that_it_follows_from(tmp_path: Path) -> None:
    """Class maps of another seed have the same section, but are other work."""
    place, marks = Place(tmp_path), set()
    for seed in (0, 1):
        place.prepare(systems.make_params("shapes", "crf", seed))
        with pytest.raises(SystemExit, match="cams failed"):  # for want of a data set
            Book(place).measure("cams")
        marks |= {*json.loads((place.folder / RUNNING).read_text())}
    assert len(marks) == 2 and all(mark.startswith("cams ") for mark in marks)


def test_the_bound_learns_from_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = systems.make_params("shapes", systems.BOUND, 0)
    params["dataset"] |= {"root": str(tmp_path / "raw"), "shapes": {**params["dataset"]["shapes"], "num_train": 3, "num_val": 2}}
    place = Place(tmp_path / "run")
    place.prepare(params)
    place.run(["dataset"])
    systems.write_truth(place, "shapes")
    monkeypatch.chdir(place.folder)
    data = open_artifact("dataset")
    lines, truth = read_lines(Path(params["seeds"]["corrections"])), Truth.of_images(Images(Params.read().raw_root(), data))
    assert sorted(lines) == data.split("train") and params["segmenter"]["maps"]["labels"] == "seeds"
    corrections = Corrections.of(lines, data, where="truth")
    for image in lines:
        labels = truth[image]
        assert labels is not None
        assert np.array_equal(corrections.correct(image, np.full_like(labels, IGNORE)), labels)


def test_pictures_of_no_data_set_are_drawn_small_and_a_wrong_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [tmp_path / "wide.png", tmp_path / "tall.png"]
    for picture, size in zip(pictures, ((300, 500), (60, 40)), strict=True):
        PillowImage.fromarray(np.full((*size, 3), 7, np.uint8)).save(picture)
    rows = systems.begin_rows_of_files(pictures)
    assert {name: row["image"].shape for name, row in rows.items()} == {"wide": (120, 200, 3), "tall": (60, 40, 3)}

    def segment(given: Sequence[Path], wanted: predict.Request, **_: Any) -> Iterator[predict.SegmentedPicture | SeedbedError]:
        for picture in given:
            shutil.copy(picture, wanted.overlay_file(picture))
            yield predict.SegmentedPicture(wanted.mask_file(picture), {})

    monkeypatch.setattr(predict, "segment_pictures", segment)
    drawn = systems.draw_files(pictures)
    assert all(np.array_equal(drawn[name], row["image"]) for name, row in rows.items())
    wrong = DataError("wide.png", found="nothing", expected="a picture", do="correct the path")
    monkeypatch.setattr(predict, "segment_pictures", lambda *_, **__: iter([wrong]))
    with pytest.raises(DataError):
        systems.draw_files(pictures)
