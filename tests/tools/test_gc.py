"""Garbage: what the store keeps is told as it is, and nothing goes but what was chosen."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from seedbed import cli
from seedbed.errors import MachineError
from seedbed.store.entries import Computation, put, shard_name
from seedbed.store.schemas import SCHEMAS
from seedbed.store.store import Store
from seedbed.tools import gc as garbage
from seedbed.tools.gc import Choice, collect, measure_freed, measure_taken, survey
from tests.stages.miniature import Project, new_project
from tests.support.publishing import published_network

STAGES = ("dataset", "pretraining", "features", "superpixels")  # those that train nothing here


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project in which some stages were run; no test changes it."""
    project = new_project(tmp_path_factory.mktemp("finished") / "project", original)
    set_dino(project, threshold=0.3)
    project.run(*STAGES)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy to do harm to."""
    return finished.copy_to(tmp_path / "project")


def set_dino(project: Project, **values: Any) -> None:
    """Other parameters of superpixels."""
    content = project.params()
    content["superpixels"]["dino"] |= values
    project.write_params(content)


@pytest.fixture(scope="module")
def finished_twice(tmp_path_factory: pytest.TempPathFactory, finished: Project) -> Project:
    """A project in which superpixels were computed with one threshold and then with another; no test changes it."""
    project = finished.copy_to(tmp_path_factory.mktemp("finished") / "project")
    set_dino(project, threshold=0.9)
    project.run("superpixels")
    return project


@pytest.fixture
def switched(finished_twice: Project, tmp_path: Path) -> Project:
    """A copy of it to do harm to."""
    return finished_twice.copy_to(tmp_path / "project")


def told(folder: Path, choice: Choice | None = None) -> list[tuple[str, str, str, int | None, bool]]:
    """Generations in short: stage, what, state, images, whether it goes."""
    return [(one.stage, one.what, one.state, one.images, one.goes) for one in survey(choice or Choice(), folder=folder)]


def seedbed(project: Project, *arguments: str) -> tuple[int, str]:
    """A command as a user types it, in this process: exit status and everything that was printed."""
    with contextlib.chdir(project.root):
        done = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def entries(project: Project, stage: str = "superpixels") -> set[str]:
    """Names of what the store has."""
    return {entry.path.name for entry in Store(stage, folder=project.data).entries()}


# --- What is there ---


def test_what_the_artifacts_are_made_of_is_current_and_stays(finished: Project) -> None:
    current = [
        ("dataset", "shapes", "current", 9, False),
        ("pretraining", "none", "current", None, False),
        ("features", "texture", "current", 9, False),
        ("superpixels", "dino", "current", 9, False),
    ]
    assert told(finished.data) == current
    status, printed = seedbed(finished, "gc", "--delete")
    assert status == 0 and "deleted" not in printed
    assert told(finished.data) == current


def test_before_any_run(tmp_path: Path) -> None:
    status, printed = seedbed(Project(tmp_path), "gc", "--delete")
    assert status == 0 and printed.split()[0] == "stage"
    assert not (tmp_path / "data").exists()


def test_an_old_generation_is_named_by_the_parameters_that_differ(switched: Project) -> None:
    assert told(switched.data, Choice(("superpixels",))) == [
        ("superpixels", "dino", "current", 9, False),
        ("superpixels", "dino: threshold 0.3 instead of 0.9", "old", 9, True),
    ]
    set_dino(
        switched,
        threshold=0.8,
        crf_certainty=0.6,
        crf={**switched.params()["superpixels"]["dino"]["crf"], "iterations": 2, "colour_weight": 9},
    )
    switched.run("superpixels")
    first, second, third = (what for _, what, _, _, _ in told(switched.data, Choice(("superpixels",))))
    assert first == "dino"
    assert second == "dino: threshold 0.9 instead of 0.8, crf_certainty 0.7 instead of 0.6, crf.colour_weight 10.0 instead of 9.0, 1 more"
    assert third.startswith("dino: threshold 0.3 instead of 0.8, ")


def current_recipe(project: Project) -> dict[str, Any]:
    """How superpixels were computed."""
    store = Store("superpixels", folder=project.data)
    (entry,) = (store.entry(name) for name in store.last()["entries"])
    assert entry
    return {name: value for name, value in entry.recipe.items() if name != "schema"}


def add(project: Project, name: str, **changes: Any) -> Path:
    """An entry of superpixels with another recipe than the current one, older than the artifact.

    name: tells it from others.
    """
    store = Store("superpixels", folder=project.data)
    recipe = Computation(**{**current_recipe(project), **changes})
    keys = [f"{name} a", f"{name} b"]
    with store.building(recipe, keys, {}) as group:
        put(group, "region_count", SCHEMAS["superpixels"].arrays["region_count"], np.array([1, 2]))
    path = store.folder / shard_name(keys, {})
    os.utime(path, (0, 0))
    return path


def test_what_else_an_old_generation_may_be(project: Project) -> None:
    ((module, block),) = current_recipe(project)["parameters"]
    add(project, "one", code="another")
    add(project, "two")
    add(project, "three", method="slic", parameters=[["seedbed.superpixels.slic", {"region_size": 3}]])
    add(
        project,
        "four",
        parameters=[[module, {**block, "threshold": 0.5}], ["seedbed.classifier.cam", {"descent": {"power": 1}}]],
        code="another",
    )
    fewer = {name: value for name, value in block.items() if name != "threshold"}
    add(project, "five", parameters=[[module, fewer]])
    packages = current_recipe(project)["packages"]
    assert set(packages) == {"numpy", "opencv-contrib-python-headless", "pillow", "pydensecrf2", "scikit-image", "simplejpeg", "torch"}
    add(project, "six", packages={**packages, "numpy": "1.0"})
    assert {what for _, what, state, _, _ in told(project.data, Choice(("superpixels",))) if state == "old"} == {
        "dino: same parameters, other code",
        "dino: other images or inputs",
        "slic",
        "dino: threshold 0.5 instead of 0.3, classifier.cam.descent.power 1 instead of missing, other code",
        "dino: threshold missing instead of 0.3",
        f"dino: same parameters, numpy 1.0 instead of {packages['numpy']}",
    }


def test_entries_of_other_images_are_old(project: Project) -> None:
    content = project.params()
    content["dataset"]["max_size"] = [72, 81]  # another layout of the same images
    project.write_params(content)
    project.run("dataset", "pretraining", "features")
    assert told(project.data, Choice(("features",)))[1] == ("features", "texture: other images or inputs", "old", 9, True)


def test_what_a_killed_run_left_is_unfinished(project: Project) -> None:
    set_dino(project, threshold=0.9)
    last = project.data / ".work/superpixels/last.json"
    before = last.read_bytes()
    project.run("superpixels")
    last.write_bytes(before)
    os.utime(last, (0, 0))
    assert [(what, state) for _, what, state, _, _ in told(project.data, Choice(("superpixels",)))] == [
        ("dino", "current"),
        ("dino: threshold 0.9 instead of 0.3", "unfinished"),
    ]
    last.unlink()
    assert {state for _, _, state, _, _ in told(project.data, Choice(("superpixels",)))} == {"unfinished"}


def test_trainings_and_what_they_left(tmp_path: Path) -> None:
    published_network("classifier", tmp_path, {"weight": np.ones(3, np.float32)})
    store = Store("classifier", folder=tmp_path)
    checkpoint = store.checkpoint("abc")
    checkpoint.write_bytes(b"12345")
    checkpoint.with_name(f"{checkpoint.name}.unfinished").write_bytes(b"123")
    store.remember(list(store.entries()), [], {})
    network, training = survey(Choice(), folder=tmp_path)
    assert (network.state, network.images, network.goes) == ("current", None, False)
    assert (training.what, training.state, training.images, training.goes) == ("unfinished training", "unfinished", None, True)
    assert measure_taken([training]) == measure_freed([training]) == 8
    assert not survey(Choice(keep=1), folder=tmp_path)[1].goes
    assert [(stage, len(going), room) for stage, going, room in collect(Choice(), folder=tmp_path)] == [("classifier", 1, 8)]
    assert not checkpoint.exists() and len(list(store.entries())) == 1


def test_entries_that_cannot_be_read_always_go(project: Project) -> None:
    path = add(project, "broken")
    (path / "zarr.json").write_text("{")
    (path.parent / "new-abc").mkdir()  # what a stage is making
    wrong = ("superpixels", "entries with a damaged record", "unreadable", None, True)
    assert told(project.data, Choice(("superpixels",), keep=5))[1:] == [wrong]
    list(collect(Choice(keep=5), folder=project.data))
    assert not path.exists()


# --- How much room it takes ---


def files_of(*folders: Path) -> list[os.stat_result]:
    return [file.stat() for folder in folders for file in folder.rglob("*") if file.is_file()]


def test_what_the_artifact_shares_is_not_freed(finished: Project) -> None:
    for one in survey(Choice(), folder=finished.data):
        files = files_of(*one.paths)
        assert measure_taken([one]) == sum(file.st_size for file in files)
        assert measure_freed([one]) == sum(file.st_size for file in files if file.st_nlink == 1)
        assert measure_freed([one]) < measure_taken([one]) or one.stage == "dataset"  # of which all arrays are joined


def test_links_are_counted_once(switched: Project, tmp_path: Path) -> None:
    old = survey(Choice(("superpixels",)), folder=switched.data)[1]
    (path,) = old.paths
    room, shard = measure_freed([old]), path / "regions/c/0/0/0"
    assert room == measure_taken([old])
    os.link(shard, path / "again")
    assert measure_taken([old]) == measure_freed([old]) == room  # both names go
    os.link(shard, tmp_path / "cache")
    assert measure_taken([old]) == room
    assert measure_freed([old]) == room - shard.stat().st_size


# --- What goes ---


def test_without_delete_nothing_is_deleted(switched: Project) -> None:
    before = entries(switched)
    status, printed = seedbed(switched, "gc")
    assert status == 0
    row = r"superpixels dino: threshold 0\.3 instead of 0\.9 +9 ([\d.]+ kB) +\1 (just now|\d+ min ago) +old *\n"
    assert re.search(row, printed), printed
    assert re.search(r"1 generation can go, which frees [\d.]+ kB. Nothing has been deleted; run `seedbed gc --delete`.\n$", printed)
    assert entries(switched) == before and len(before) == 2


def test_delete_frees_what_was_said_and_the_next_run_reuses_the_rest(switched: Project, capfd: pytest.CaptureFixture[str]) -> None:
    before = sum(file.st_size for file in {file.st_ino: file for file in files_of(switched.data)}.values())
    room = measure_freed([one for one in survey(Choice(), folder=switched.data) if one.goes])
    status, printed = seedbed(switched, "gc", "--delete")
    assert status == 0
    assert printed.splitlines()[-1] == f"superpixels: 1 generation deleted, {room / 1000:.1f} kB freed"
    after = sum(file.st_size for file in {file.st_ino: file for file in files_of(switched.data)}.values())
    lock = len((switched.data / ".work/superpixels/lock").read_bytes())
    assert abs(before - after - room) <= 3 * lock  # which say who held them last
    assert len(entries(switched)) == 1
    switched.run(*STAGES)
    assert re.findall(r"\((\d+) computed, (\d+) reused", capfd.readouterr().err) == [("0", "9")] * 3
    set_dino(switched, threshold=0.3)
    switched.run("superpixels")
    assert "(9 computed, 0 reused" in capfd.readouterr().err


def test_the_generations_that_were_of_use_last_can_be_kept(switched: Project) -> None:
    for threshold in (0.8, 0.7):
        set_dino(switched, threshold=threshold)
        switched.run("superpixels")
    goes = [(what, goes) for _, what, _, _, goes in told(switched.data, Choice(("superpixels",), keep=2))]
    assert goes == [
        ("dino", False),
        ("dino: threshold 0.8 instead of 0.7", False),
        ("dino: threshold 0.9 instead of 0.7", False),
        ("dino: threshold 0.3 instead of 0.7", True),
    ]
    _, printed = seedbed(switched, "gc", "--keep", "2", "--stage", "superpixels")
    assert "run `seedbed gc --delete --keep 2 --stage superpixels`" in printed
    assert len(re.findall("old, stays", printed)) == 2
    assert seedbed(switched, "gc", "--keep", "2", "--delete")[0] == 0
    assert len(entries(switched)) == 3


def test_all_deletes_what_is_current_too_so_that_everything_is_computed_anew(switched: Project, capfd: pytest.CaptureFixture[str]) -> None:
    status, printed = seedbed(switched, "gc", "--all", "--delete", "--stage", "superpixels", "--stage", "features")
    assert status == 0
    assert "current, goes" in printed
    assert printed.endswith("Artifacts stay as they are; `dvc repro --force` recomputes them.\n")
    assert not entries(switched) | entries(switched, "features") and entries(switched, "dataset")
    assert seedbed(switched, "verify")[0] == 0
    capfd.readouterr()
    switched.run(*STAGES)
    assert re.findall(r"\((\d+) computed, (\d+) reused", capfd.readouterr().err) == [("0", "9"), ("9", "0"), ("9", "0")]


def test_a_stage_that_is_at_work_is_left_alone_and_said(switched: Project) -> None:
    content = switched.params()
    content["features"]["texture"]["reach"] = 0.7
    switched.write_params(content)
    switched.run("features")
    code = "from seedbed.store.store import Store\nwith Store('features').locked(): print('held', flush=True), input()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=switched.root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    try:
        status, printed = seedbed(switched, "gc", "--delete")
    finally:
        holder.communicate(b"\n")
    assert status == 2
    assert len(entries(switched, "features")) == 2 and len(entries(switched)) == 1
    *_, did, error = printed.splitlines()
    assert did.startswith("superpixels: 1 generation deleted")
    assert re.fullmatch(
        rf"error: seedbed gc: found running stages: features: process {holder.pid} on .*; "
        "expected none; run it again when they are done",
        error,
    )
    assert seedbed(switched, "gc", "--delete")[0] == 0
    assert len(entries(switched, "features")) == 1


def test_a_kill_while_deleting_leaves_no_half_entry(switched: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        next(path.glob("*/zarr.json")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            list(collect(Choice(), folder=switched.data))
    work = switched.data / ".work/superpixels"
    assert len(list(work.glob("new-*"))) == 1
    assert told(switched.data, Choice(("superpixels",))) == [("superpixels", "dino", "current", 9, False)]
    switched.run("superpixels")
    assert not list(work.glob("new-*"))


def test_what_cannot_be_deleted_is_said(switched: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(MachineError, match="found that it cannot be deleted: Permission denied; expected permission to delete it"):
        list(collect(Choice(), folder=switched.data))


# --- What was asked for ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--stage", "feature"],
            r"error: seedbed gc --stage: found 'feature'; expected one of: dataset, .*\(nearest: features\); correct the name\n",
        ),
        (["--all", "--keep", "1"], "error: seedbed gc --all: found --keep 1 with --all; expected one of the two; omit the other\n"),
    ],
)
def test_what_makes_no_sense(finished: Project, arguments: list[str], message: str) -> None:
    status, printed = seedbed(finished, "gc", *arguments)
    assert status == 2
    assert re.fullmatch(message, printed)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7300, "2 h ago"), (86_400, "1 day ago"), (1e6, "11 days ago")],
)
def test_how_long_ago(seconds: float, expected: str) -> None:
    assert garbage.ago(seconds) == expected
