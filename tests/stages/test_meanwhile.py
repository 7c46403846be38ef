"""What is edited while a stage runs. DVC would take it for what the stage has used; so the stage refuses, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seedbed import packages
from seedbed.run import fingerprint
from seedbed.store.store import Store
from tests.stages.miniature import CHECKOUT, Project
from tests.stages.surviving import Counts, change_params, counts, heard, images_in, new_album, photos, raw, show, started, traces, until

IMAGES = 130  # in three shards
AGAIN = "run `dvc repro` again: what was computed stays in the store"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project whose superpixels take seconds; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("album"), original, photos(*range(IMAGES)), iterations=10)
    project.run("dataset", "pretraining", "features")
    return project


@pytest.fixture
def own(album: Project, tmp_path: Path) -> Project:
    """The same, to do harm to."""
    return album.copy_to(tmp_path / "project")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of our code."""
    for package in ("seedbed", "stages"):
        shutil.copytree(CHECKOUT / package, tmp_path / "checkout" / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "checkout"


def edited(file: Path, old: str, new: str) -> None:
    """Edit a file in one place."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def meanwhile(project: Project, stage: str, edit: Callable[[], object], *flags: str, checkout: Path = CHECKOUT) -> tuple[int, str]:
    """Do something while a stage is computing. Returns its status, and the last line that it said."""
    with started(project, stage, *flags, checkout=checkout) as program:
        until(lambda: program.ended or traces(project, stage))
        program.stop()
        assert not program.ended, program.said
        edit()
        program.go_on()
        return program.status(), program.said.splitlines()[-1]


def threshold(project: Project, value: float) -> None:
    """Set the parameter of superpixels."""
    change_params(project, "superpixels", dino=project.params()["superpixels"]["dino"] | {"threshold": value})


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_setting_of_a_stage_that_computes_images(own: Project, workers: str) -> None:
    before = own.params()["superpixels"]["dino"]["threshold"]
    status, said = meanwhile(own, "superpixels", lambda: threshold(own, 0.25), "--workers", workers)
    expected = f"found 0.25; expected {before}, as when this stage began; {AGAIN}"
    assert (status, said) == (2, f"error: params.yaml: superpixels.dino.threshold: {expected}")
    assert not (own.data / "superpixels.zarr").exists()
    assert images_in(traces(own, "superpixels")) == IMAGES
    threshold(own, before)
    assert counts(own, "superpixels") == [Counts(0, IMAGES)]


def test_what_a_stage_does_not_read_may_change(own: Project, checkout: Path) -> None:
    def edit() -> None:
        change_params(own, "seeds", method="threshold")
        change_params(own, "dataset", coco={"year": 2014}, root="elsewhere")
        edited(own.root / "params.yaml", '"superpixels": {', '# a comment\n "superpixels": {')
        edited(checkout / "seedbed/algorithms/crf.py", '"""', '"""In other words: ')
        edited(checkout / "seedbed/scoring/metrics.py", "import numpy as np", "import numpy as np\n\nX = 1")
        raw(own, "image_0900").write_bytes(b"an image that nobody has indexed")

    status, said = meanwhile(own, "superpixels", edit, checkout=checkout)
    assert status == 0, said
    assert Counts.of(said) == Counts(IMAGES, 0)


def test_code_of_a_stage_that_computes_images(own: Project, checkout: Path) -> None:
    crf = checkout / "seedbed/algorithms/crf.py"
    before = crf.read_bytes()
    status, said = meanwhile(own, "superpixels", lambda: edited(crf, "\n@parameters", "\nX = 1\n\n\n@parameters"), checkout=checkout)
    expected = f"found other code; expected the same code as when this stage began; {AGAIN}"
    assert (status, said) == (2, f"error: seedbed/algorithms/crf.py: {expected}")
    assert not (own.data / "superpixels.zarr").exists()
    crf.write_bytes(before)
    assert counts(own, "superpixels") == [Counts(0, IMAGES)]


@pytest.mark.slow
def test_a_setting_of_a_training(own: Project) -> None:
    show(own, photos(*range(8)))
    cam = own.params()["classifier"]["cam"]
    change_params(own, "classifier", cam=cam | {"training": cam["training"] | {"epochs": 5}})
    own.run("dataset")
    store = own.data / ".work/classifier"
    with started(own, "classifier", "--checkpoint-seconds", "0") as program:
        until(lambda: program.ended or list(store.glob("checkpoint-*.safetensors")))
        program.stop()
        change_params(own, "classifier", split="val")
        program.go_on()
        assert program.status() == 2, program.said
    last = f"error: params.yaml: classifier.split: found 'val'; expected 'train', as when this stage began; {AGAIN}"
    assert program.said.splitlines()[-1] == last
    assert not (own.data / "classifier.zarr").exists() and len(traces(own, "classifier")) == 1
    change_params(own, "classifier", split="train")
    assert heard(own, "classifier") == "classifier: reused, because nothing that it learns from has changed\n"


@pytest.mark.parametrize("harm", ["more", "other", pytest.param("less", marks=pytest.mark.slow)])
def test_raw_data_while_they_are_indexed(own: Project, harm: str) -> None:
    shutil.rmtree(own.data / ".work/dataset")
    image = raw(own, "image_0000")

    def edit() -> None:
        if harm == "more":
            image.with_name("new.png").write_bytes(b"no image")
        elif harm == "less":
            image.unlink()
        else:
            image.write_bytes(photos(900)["image_0900"].content)

    before = image.read_bytes()
    (own.data / "dataset.zarr").rename(own.root / "aside.zarr")
    status, said = meanwhile(own, "dataset", edit)
    told = {"more": "images/new.png: found a new file; expected none", "less": "images/image_0000.png: found no such file; expected"}
    assert status == 2 and told.get(harm, "images/image_0000.png: found another file; expected the same file as") in said
    assert said.endswith(AGAIN) and not (own.data / "dataset.zarr").exists()
    kept = images_in(traces(own, "dataset"))
    image.write_bytes(before)
    image.with_name("new.png").unlink(missing_ok=True)
    assert counts(own, "dataset") == [Counts(IMAGES - kept, kept)]


def published_meanwhile(project: Project, edit: Callable[[], object], *, checkout: Path = CHECKOUT) -> tuple[int, str]:
    """Do something while the evaluation, whose artifact is published already, draws its pictures."""
    shutil.rmtree(project.data / "evaluation.zarr")
    with started(project, "evaluation", checkout=checkout) as program:
        until(lambda: program.ended or (project.data / "evaluation.zarr").exists())
        program.stop()
        assert not program.ended, program.said
        edit()
        program.go_on()
        return program.status(), program.said.splitlines()[-1]


@pytest.mark.slow
def test_a_setting_after_the_artifact_is_published(finished: Project, tmp_path: Path) -> None:
    own = finished.copy_to(tmp_path / "project")
    status, said = published_meanwhile(own, lambda: change_params(own, "evaluation", pictures=1))
    assert (status, said) == (2, f"error: params.yaml: evaluation.pictures: found 1; expected 2, as when this stage began; {AGAIN}")
    shutil.rmtree(own.data / "evaluation.zarr")
    change_params(own, "evaluation", pictures=2)
    assert counts(own, "evaluation") == [Counts(0, 9)]


@pytest.mark.slow
def test_raw_data_and_code_after_the_artifact_is_published(finished: Project, tmp_path: Path, checkout: Path) -> None:
    own = finished.copy_to(tmp_path / "project")
    status, said = published_meanwhile(own, lambda: (own.raw / "masks/more.png").write_bytes(b""))
    told = f"data/raw/shapes/masks/more.png: found a new file; expected none, as when this stage began; {AGAIN}"
    assert (status, said) == (2, f"error: {told}")
    status, said = published_meanwhile(
        own, lambda: edited(checkout / "seedbed/report/charts.py", 'BAR = "#222222"', 'BAR = "#222223"'), checkout=checkout
    )
    assert (status, said.partition(";")[0]) == (2, "error: seedbed/report/charts.py: found other code")
    shutil.rmtree(own.data / "evaluation.zarr")
    assert counts(own, "evaluation") == [Counts(0, 9)]


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Whatever was found out about the code that runs is forgotten afterwards."""
    yield
    fingerprint.running.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_an_upgraded_package_recomputes_what_uses_it(indexed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, installed = indexed.copy_to(tmp_path), packages._find_installed
    assert counts(own, "features", "superpixels") == [Counts(9, 0)] * 2
    for upgraded, computed in {"timm": (0, 0), "torch": (9, 9), "pydensecrf": (0, 9)}.items():
        fingerprint.running.cache_clear()
        monkeypatch.setattr(packages, "_find_installed", lambda one, when: (one, "99") if one == upgraded else installed(one, when))  # noqa: B023
        assert [one.computed for one in counts(own, "features", "superpixels")] == list(computed), upgraded
    [entry] = [Store("superpixels", folder=own.data).entry(name) for name in Store("superpixels", folder=own.data).last()["entries"]]
    assert entry is not None and entry.recipe["packages"]["pydensecrf"] == "99"
    assert entry.recipe["packages"] == fingerprint.packages(entry.recipe["modules"])
