"""A stage whose result would only be made again: it is put in place, and nothing that computes is imported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import ChangedError
from seedbed.params import Params
from seedbed.run import fingerprint, reuse
from seedbed.run.inputs import Inputs
from seedbed.store.lock import hold_lock
from seedbed.tools import gc
from tests.stages.miniature import CHECKOUT, Project, new_project, tree

TRAINED = "classifier: reused, because nothing that it learns from has changed\n"
SEEN = "dataset: 9 images (0 computed, 9 reused, 0 removed)\n"
IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project in which two stages were run with all that a program does; no test changes it."""
    project = new_project(tmp_path_factory.mktemp("ran") / "project", original)
    shutil.copy(CHECKOUT / "dvc.yaml", project.root)
    for stage in ("dataset", "classifier"):
        done = project.command(stage)
        assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it, in which DVC has removed what the classifier left, before it runs it again."""
    shutil.copytree(ran.root, tmp_path / "project", copy_function=os.link)
    copied = Project(tmp_path / "project")
    for file in (copied.root / "params.yaml", copied.root / "dvc.yaml"):  # the copy's own
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    shutil.rmtree(copied.data / "classifier.zarr")
    (copied.data / "plots" / "classifier.csv").unlink()
    monkeypatch.chdir(copied.root)
    return copied


def test_nothing_that_computes_is_imported_and_all_is_there_again(ran: Project, project: Project) -> None:
    done = project.program("classifier", environment=IMPORTS)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode == 0 and TRAINED in done.stderr
    assert "seedbed.run.reuse" in imported
    assert not imported & {"torch", "timm", "zarr", "cv2", "seedbed.classifier", "stages.classifier", "seedbed.run.stage"}
    assert tree(project.root) == tree(ran.root)


def test_the_data_set_too_where_no_file_has_changed(ran: Project, project: Project) -> None:
    shutil.rmtree(project.data / "dataset.zarr")
    assert reuse.republish("dataset") == SEEN.strip()
    assert tree(project.data / "dataset.zarr") == tree(ran.data / "dataset.zarr")


def params(project: Project) -> None:
    content = project.params()
    content["classifier"]["cam"]["training"]["seed"] += 1
    project.write_params(content)


def input_is_another(project: Project) -> None:
    record = project.data / "dataset.zarr" / "zarr.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    record.unlink()
    record.write_text(json.dumps(content), encoding="utf-8")
    content["attributes"]["seedbed"]["digest"] = "0" * 64
    record.write_text(json.dumps(content), encoding="utf-8")


def input_is_damaged(project: Project) -> None:
    file = next(one for one in sorted((project.data / "dataset.zarr").rglob("*")) if one.is_file() and one.name != "zarr.json")
    file.unlink()


def pipeline(project: Project) -> None:
    with (project.root / "dvc.yaml").open("a", encoding="utf-8") as file:
        file.write("# another line\n")


def kept_file_is_damaged(project: Project) -> None:
    kept = project.data / ".work" / reuse.KEPT / "classifier" / reuse.LEFT / "data" / "plots" / "classifier.csv"
    content = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(content[:-1])


def note_is_damaged(project: Project) -> None:
    note = project.data / ".work" / reuse.KEPT / "classifier" / reuse.NOTE
    note.unlink()
    note.write_text("{", encoding="utf-8")


@pytest.mark.parametrize("change", [params, input_is_another, input_is_damaged, pipeline, kept_file_is_damaged, note_is_damaged])
def test_what_may_have_changed_is_run(project: Project, change: Callable[[Project], None]) -> None:
    assert reuse._unchanged("classifier", reuse.place_of("classifier", Path("data")), Path("data")) is not None
    change(project)
    assert reuse.republish("classifier") == ""
    assert not (project.data / "classifier.zarr").exists()


def test_other_code_or_packages_are_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fingerprint.whole_digest
    monkeypatch.setattr(fingerprint, "present_digest", lambda: "another")  # something was edited somewhere
    assert reuse._unchanged("classifier", reuse.place_of("classifier", Path("data")), Path("data")) is not None
    monkeypatch.setattr(fingerprint, "whole_digest", lambda modules: whole([*modules, "seedbed.scoring.metrics"]))
    assert reuse.republish("classifier") == ""
    monkeypatch.setattr(fingerprint, "whole_digest", whole)
    monkeypatch.setattr(fingerprint, "packages", lambda modules: {"torch": "99"})
    assert reuse.republish("classifier") == ""
    monkeypatch.undo()
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(reuse, "versions", lambda names: {"torch": "99"})
    assert reuse.republish("classifier") == ""
    monkeypatch.undo()
    monkeypatch.chdir(project.root)
    assert reuse.republish("classifier") == TRAINED.strip()


def test_a_raw_file_that_was_written_again_is_looked_at(project: Project) -> None:
    shutil.rmtree(project.data / "dataset.zarr")
    file = next(one for one in sorted(project.raw.rglob("*")) if one.is_file())
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    assert reuse.republish("dataset") == ""


def test_what_changes_while_it_is_put_in_place_is_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    put = reuse._put

    def edit_and_put(source: Path, target: Path) -> None:
        params(project)
        put(source, target)

    monkeypatch.setattr(reuse, "_put", edit_and_put)
    assert reuse.republish("classifier") == ""


def test_what_changes_before_the_note_is_written_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the note would take the new file for the one that the result was made with."""
    assert reuse.republish("classifier")
    note = (reuse.place_of("classifier", Path("data")) / reuse.NOTE).read_bytes()
    inputs, present = Inputs("classifier", Params.read()), fingerprint.present_digest

    def edit_and_look() -> str:
        params(project)
        return present()

    monkeypatch.setattr(fingerprint, "present_digest", edit_and_look)
    with pytest.raises(ChangedError, match=r"classifier\.cam\.training\.seed"):
        reuse.keep(inputs, said="")
    assert (reuse.place_of("classifier", Path("data")) / reuse.NOTE).read_bytes() == note


def test_a_stage_that_is_at_work_is_left_to_it(project: Project) -> None:
    with hold_lock(project.data / ".work" / "classifier" / "lock", stage="classifier", wait=False):
        assert reuse.republish("classifier") == ""


def test_a_stage_that_was_told_how_to_run_runs(project: Project) -> None:
    reuse.leave_if_unchanged(["python", "-m", "stages.classifier", "--workers", "1"])
    reuse.leave_if_unchanged(["python", "-m", "pytest"])
    assert not (project.data / "classifier.zarr").exists()
    with pytest.raises(SystemExit) as left:
        reuse.leave_if_unchanged(["python", "-m", "stages.classifier"])
    assert left.value.code == 0 and (project.data / "classifier.zarr").exists()


def test_a_second_round_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(stage: str) -> str:
        asked.append(stage)
        return ""

    monkeypatch.setattr(reuse, "republish", ask)
    for arguments in (
        ["-m", "stages.cams", "--as", "cams_second"],
        ["-m", "stages.cams", "--as", "cams"],
        ["-m", "stages.cams", "--as", "seeds_second"],
        ["-m", "stages.cams", "--as", "cams_/../seeds"],
        ["-m", "stages.cams", "--as", "cams_second", "--workers", "1"],
        ["-m", "stages.cams", "--as"],
        ["--as", "cams_second"],
    ):
        reuse.leave_if_unchanged(["python", *arguments])
    assert asked == ["cams_second"]


def test_what_is_deleted_with_all_that_is_current_is_kept_no_longer(project: Project) -> None:
    assert list(gc.collect(gc.Choice(stages=("classifier",), everything=True)))
    assert reuse.republish("classifier") == ""
    assert (project.data / ".work" / reuse.KEPT / "dataset").is_dir()
