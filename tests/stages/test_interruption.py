"""Ctrl-C and SIGTERM: one line, the usual exit status, no process left behind, and the next run goes on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import pytest

from tests.stages.miniature import CHECKOUT, Project
from tests.stages.surviving import Program, built, change_params, children, counts, images_in, new_album, photos, started, traces, until

IMAGES = 200  # in four shards: two workers that end their first at the same time have two more to do
LINE = "interrupted; run it again to resume where it was"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project whose superpixels and classifier take long; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("album"), original, photos(*range(IMAGES)), iterations=15)
    cam = project.params()["classifier"]["cam"]
    change_params(project, "classifier", cam=cam | {"training": cam["training"] | {"epochs": 100}})
    project.run("dataset", "pretraining", "features")
    return project


@pytest.fixture
def own(album: Project, tmp_path: Path) -> Project:
    """The same, to do harm to."""
    return album.copy_to(tmp_path / "project")


def assert_interrupted(program: Program, number: Signals, *, everybody: bool) -> None:
    """Interrupt a program: it ends with a line, and everything that it has started with it."""
    assert not program.ended, program.said
    before = len(program.said)
    program.interrupt(number, everybody=everybody)
    assert program.status() == 128 + number, program.said
    said = [line for line in program.said[before:].splitlines() if not line.startswith(("superpixels: ", "classifier: "))]  # how far it is
    assert said == [LINE], program.said
    until(lambda: not program.group)


def heeds(pid: int, number: Signals) -> bool:
    """Whether a process does something of its own when it is sent a signal."""
    [caught] = re.findall(r"^SigCgt:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("workers", "number", "everybody"),
    [
        ("1", SIGINT, True),
        pytest.param("2", SIGTERM, False, marks=pytest.mark.slow),
        pytest.param("2", SIGINT, True, marks=pytest.mark.slow),
        pytest.param("1", SIGTERM, False, marks=pytest.mark.slow),
        pytest.param("2", SIGTERM, True, marks=pytest.mark.slow),
    ],
)
def test_a_stage_that_computes_images(own: Project, workers: str, number: Signals, everybody: bool) -> None:
    with started(own, "superpixels", "--workers", workers) as program:
        until(lambda: program.ended or traces(own, "superpixels"))
        assert_interrupted(program, number, everybody=everybody)
    kept = images_in(traces(own, "superpixels"))
    assert 0 < kept < IMAGES and not (own.data / "superpixels.zarr").exists()
    if workers == "1" and number == SIGINT:
        assert counts(own, "superpixels")[0].reused == kept
        assert not built(own, "superpixels")


@pytest.mark.parametrize("number", [SIGINT, pytest.param(SIGTERM, marks=pytest.mark.slow)])
def test_workers_that_have_just_been_started(own: Project, number: Signals) -> None:
    with started(own, "superpixels", "--workers", "2") as program:
        until(lambda: program.ended or len(children(program.process.pid)) == 3)  # of which one only counts semaphores
        assert_interrupted(program, number, everybody=True)


def test_a_stage_that_has_not_begun_yet(own: Project) -> None:
    with started(own, "classifier") as program:
        until(lambda: program.ended or heeds(program.process.pid, SIGTERM))
        assert_interrupted(program, SIGINT, everybody=True)


@pytest.mark.parametrize(
    ("devices", "number", "everybody"),
    [
        ("1", SIGINT, True),
        pytest.param("2", SIGTERM, False, marks=pytest.mark.slow),
        pytest.param("2", SIGINT, True, marks=pytest.mark.slow),
    ],
)
def test_a_training(own: Project, devices: str, number: Signals, everybody: bool) -> None:
    store = own.data / ".work/classifier"
    with started(own, "classifier", "--devices", devices, "--workers", "2", "--checkpoint-seconds", "0") as program:
        until(lambda: program.ended or list(store.glob("checkpoint-*.safetensors")))
        assert_interrupted(program, number, everybody=everybody)
    assert list(store.glob("checkpoint-*.safetensors"))


@pytest.mark.slow
def test_processes_of_a_training_that_have_just_been_started(own: Project) -> None:
    with started(own, "classifier", "--devices", "2") as program:
        until(lambda: program.ended or len(children(program.process.pid)) == 3)
        assert_interrupted(program, SIGINT, everybody=True)


def test_a_stage_that_waits_for_another(own: Project) -> None:
    with started(own, "superpixels") as first:
        until(lambda: first.ended or traces(own, "superpixels"))
        first.stop()
        with started(own, "superpixels") as second:
            until(lambda: second.ended or "waiting" in second.said)
            assert_interrupted(second, SIGINT, everybody=True)


@pytest.mark.slow
def test_a_stage_on_a_cluster(own: Project) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        started(own, "superpixels", "--scheduler", cluster.scheduler_address) as program,
    ):
        until(lambda: program.ended or built(own, "superpixels") or traces(own, "superpixels"))
        assert_interrupted(program, SIGINT, everybody=True)


def test_who_is_to_heed_no_ctrl_c_heeds_none(own: Project) -> None:
    """As `nohup` and a shell's `&` want it."""
    before = signal.signal(SIGINT, signal.SIG_IGN)
    try:
        with started(own, "superpixels") as program:
            until(lambda: program.ended or traces(own, "superpixels"))
            program.interrupt(SIGINT, everybody=True)
            until(lambda: program.ended or images_in(traces(own, "superpixels")) > 64)
            assert not program.ended or program.status() == 0, program.said
    finally:
        signal.signal(SIGINT, before)


COMMAND = """
import time
from seedbed import cli

@cli.app.command()
@cli.one_line_errors
def idle() -> None:
    print("begun", flush=True)
    time.sleep(600)

cli.app(["idle"])
"""


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_command(number: Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None and begun.stdout.readline() == "begun\n"
        begun.send_signal(number)
        said, wrong = begun.communicate(timeout=60)
    assert (said, wrong, begun.returncode) == ("", "interrupted; run it again\n", 128 + number)
