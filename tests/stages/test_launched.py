"""Trainings whose processes were started from outside: by torchrun, or as SLURM's srun starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedbed.store.artifact import open_artifact
from tests.stages.miniature import CHECKOUT, Project, tree
from tests.stages.surviving import PATIENCE, Counts, change_params, children, new_album, photos, until

pytestmark = pytest.mark.slow  # minutes, where other work runs
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
IMAGES, STEPS = 10, 20
REUSED = "classifier: reused, because nothing that it learns from has changed"
LOST = "error: classifier: found that another of its processes has ended; expected all to go on; run it again to resume"
SCRIPT = {  # variables that the script of a SLURM job has, of which only the script itself runs
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "whole_graph",
    "SLURM_NODELIST": "127.0.0.1",
    "SLURM_NNODES": "1",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def step(rank: int) -> dict[str, str]:
    """Variables that srun gives to one of two processes."""
    added = {"SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1"}
    return SCRIPT | added | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


@dataclass
class Launched:
    """Programs that were started together, or one that has started others."""

    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def start(self, folder: Path, command: Sequence[str], variables: dict[str, str]) -> None:
        """Start a program in a project."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SEEDBED_", "SLURM_"))}
        own = {"PYTHONPATH": str(CHECKOUT), "SEEDBED_WORKERS": "1", "SEEDBED_DEVICE": "cpu"}
        self.logs.append(folder / f"said-{len(self.logs)}")
        with self.logs[-1].open("wb") as log:
            program = [sys.executable, *command]
            self.programs.append(subprocess.Popen(program, cwd=folder, env=inherited | own | variables, stdout=log, stderr=log))

    @property
    def said(self) -> list[list[str]]:
        """The lines of each program, but for what torch and Fabric say."""
        texts = [log.read_text(encoding="utf-8").splitlines() for log in self.logs]
        return [[line for line in lines if line.startswith(("classifier", "features", "error", "usage", "interrupted"))] for lines in texts]

    @property
    def everything(self) -> str:
        """All that they have said, to look at where a test fails."""
        return "\n".join(log.read_text(encoding="utf-8") for log in self.logs)

    def statuses(self) -> list[int]:
        """How they ended, once all have. Two that start at once take longer than one."""
        end = time.monotonic() + 2 * PATIENCE
        while any(program.poll() is None for program in self.programs):
            assert time.monotonic() < end, f"{[program.poll() for program in self.programs]}: {self.everything}"
            time.sleep(0.05)
        return [program.returncode for program in self.programs]

    def kill(self) -> None:
        """Kill whatever is there still."""
        for program in self.programs:
            for pid in children(program.pid) if program.poll() is None else ():
                os.kill(pid, signal.SIGKILL)
            program.kill()
            program.wait()


@contextmanager
def launched(*projects: Project, stage: str = "classifier", flags: Sequence[str] = (), by: str = "srun") -> Iterator[Launched]:
    """Two processes of a stage; they do not outlive the block.

    projects: of the processes; one for both, or for each its own.
    """
    begun = Launched()
    with ExitStack() as stack:
        stack.callback(begun.kill)
        command = ("-m", f"stages.{stage}", *flags)
        if by == "torchrun":
            begun.start(projects[0].root, (*TORCHRUN, *command), {})
        else:
            for rank in range(2):
                begun.start(projects[rank % len(projects)].root, command, step(rank))
        yield begun


def finish(*projects: Project, stage: str = "classifier", flags: Sequence[str] = (), by: str = "srun") -> list[list[str]]:
    """Let processes do their work, and return what they said."""
    with launched(*projects, stage=stage, flags=flags, by=by) as begun:
        assert not any(begun.statuses()), begun.everything
        return begun.said


def published(project: Project) -> dict[str, bytes]:
    return tree(project.data / "classifier.zarr")


def checkpoints(project: Project) -> list[Path]:
    return list((project.data / ".work" / "classifier").glob("checkpoint-*.safetensors"))


def weights(project: Project) -> dict[str, Any]:
    return dict(open_artifact("classifier", folder=project.data).weights())


def assert_alike(one: Project, other: Project) -> None:
    """Weights that differ in last digits at most."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(np.allclose(first[name], second[name], atol=1e-5) for name in first)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, original: dict[str, Any]) -> Project:
    """A project whose classifier has no statistics of a batch, so that one process does what several do; no test changes it."""
    project = new_album(tmp_path_factory.mktemp("album"), original, photos(*range(IMAGES)))
    cam = project.params()["classifier"]["cam"]
    backbone, training = cam["backbone"] | {"network": "test_convnext"}, cam["training"] | {"epochs": 8, "batch_size": 4}
    change_params(project, "classifier", cam=cam | {"backbone": backbone, "training": training})
    project.run("dataset", "pretraining")
    return project


@pytest.fixture(scope="module")
def shared(album: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same, whose classifier two processes of torchrun have trained; no test changes it."""
    project = album.copy_to(tmp_path_factory.mktemp("shared"))
    [said] = finish(project, by="torchrun")
    assert len(said) == 1 and said[0].startswith(f"classifier: {STEPS} steps in "), said
    return project


@pytest.fixture
def own(album: Project, tmp_path: Path) -> Project:
    """The project before any training, to do harm to."""
    return album.copy_to(tmp_path / "project")


# --- The same training ---


def test_processes_of_torchrun_train_what_one_process_trains(own: Project, shared: Project) -> None:
    own.run("classifier")
    assert_alike(own, shared)
    first, second = (open_artifact("classifier", folder=one.data) for one in (own, shared))
    assert first.made_by == second.made_by
    assert (shared.data / "plots" / "classifier.csv").exists()


def test_one_of_them_has_written(shared: Project) -> None:
    store = shared.data / ".work" / "classifier"
    runs = [json.loads(line) for line in (store / "runs.jsonl").read_text().splitlines()]
    assert [one["computed"] for one in runs] == [STEPS]
    assert len([one for one in store.iterdir() if one.is_dir()]) == 1
    assert not checkpoints(shared)


def test_who_comes_later_finds_the_result(shared: Project, tmp_path: Path) -> None:
    project = shared.copy_to(tmp_path / "project")
    assert finish(project) == [[REUSED], []]
    assert project.command("classifier").stderr == f"{REUSED}\n"
    assert published(project) == published(shared)


@pytest.mark.slow
def test_processes_that_the_stage_starts_itself_train_the_same_bytes(own: Project, shared: Project) -> None:
    done = own.program("classifier", "--devices", "2", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert published(own) == published(shared)


@pytest.mark.slow
def test_processes_share_a_bank(own: Project, tmp_path: Path) -> None:
    block = own.params()["classifier"]["fbr"]
    training = block["training"] | {"epochs": 4, "batch_size": 4}
    change_params(own, "classifier", method="fbr", fbr=block | {"training": training})
    other = own.copy_to(tmp_path / "other")
    finish(own)
    done = other.program("classifier", "--devices", "2", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert published(own) == published(other) != {}


# --- Ends ---


@pytest.mark.parametrize("by", ["srun", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_who_loses_another_process_ends_and_the_next_run_goes_on(own: Project, shared: Project, by: str) -> None:
    with launched(own, flags=("--checkpoint-seconds", "0"), by=by) as begun:
        until(lambda: checkpoints(own) or any(one.poll() is not None for one in begun.programs))
        [program, *others] = begun.programs
        killed = others[0].pid if others else max(children(program.pid))
        os.kill(killed, signal.SIGKILL)
        assert begun.statuses() == ([2, -signal.SIGKILL] if by == "srun" else [1]), begun.everything
        assert begun.said[0] == [LOST], begun.everything
    assert checkpoints(own) and not published(own)
    said = finish(own, by=by)[0]
    assert len(said) == 1 and said[0].startswith(f"classifier: {STEPS} steps in ")
    assert published(own) == published(shared)


@pytest.mark.slow
def test_what_several_have_begun_one_process_finishes(own: Project, shared: Project) -> None:
    with launched(own, flags=("--checkpoint-seconds", "0")) as begun:
        until(lambda: checkpoints(own) or any(one.poll() is not None for one in begun.programs))
        begun.kill()  # the first process too
    assert checkpoints(own)
    done = own.program("classifier", "--device", "cpu")
    assert done.returncode == 0 and "anew" not in done.stderr, done.stderr
    assert_alike(own, shared)


def test_an_error_of_the_user_is_one_line(own: Project) -> None:
    cam = own.params()["classifier"]["cam"]
    missing = {"source": "file", "file": "data/raw/missing.safetensors", "sha256": "0" * 64}
    change_params(own, "classifier", cam=cam | {"backbone": cam["backbone"] | {"initial_weights": missing}})
    with launched(own) as begun:
        assert begun.statuses() == [2, 2], begun.everything
        [line] = [line for lines in begun.said for line in lines]
    assert line.startswith("error: data/raw/missing.safetensors: found no such file; expected initial weights; ")
    assert "Traceback" not in begun.everything


@pytest.mark.slow
@pytest.mark.parametrize("by", ["srun", "torchrun"])
def test_an_error_before_the_training_is_one_line(own: Project, by: str) -> None:
    with launched(own, flags=("--workers", "no"), by=by) as begun:
        assert begun.statuses() == ([2, 2] if by == "srun" else [1]), begun.everything
        [line] = [line for lines in begun.said for line in lines]
    assert line == "error: --workers or SEEDBED_WORKERS: found 'no'; expected 1 or more; correct it"


@pytest.mark.slow
def test_who_is_interrupted_says_so_once(own: Project) -> None:
    with launched(own, flags=("--checkpoint-seconds", "0"), by="torchrun") as begun:
        until(lambda: checkpoints(own) or begun.programs[0].poll() is not None)
        begun.programs[0].send_signal(signal.SIGTERM)
        assert begun.statuses()[0] != 0
        assert begun.said == [["interrupted; run it again to resume where it was"]], begun.everything
    assert checkpoints(own)


# --- Machines that differ ---


@pytest.mark.slow
def test_a_process_with_other_parameters_is_refused(own: Project, tmp_path: Path) -> None:
    other = own.copy_to(tmp_path / "other")
    cam = other.params()["classifier"]["cam"]
    change_params(other, "classifier", cam=cam | {"training": cam["training"] | {"seed": 1}})
    with launched(own, other) as begun:
        assert begun.statuses() == [2, 2], begun.everything
        [line] = [line for lines in begun.said for line in lines]
    assert line.startswith("error: process 1 of 2, on ") and "found another training than process 0 has begun" in line
    assert not published(own) and not published(other)


@pytest.mark.slow
def test_a_process_that_sees_another_checkpoint_is_refused(own: Project, tmp_path: Path) -> None:
    other = own.copy_to(tmp_path / "other")
    with launched(own, flags=("--checkpoint-seconds", "0")) as begun:
        until(lambda: checkpoints(own) or any(one.poll() is not None for one in begun.programs))
        begun.kill()
    with launched(own, other) as begun:
        assert begun.statuses() == [2, 2], begun.everything
        [line] = [line for lines in begun.said for line in lines]
    assert line.startswith("error: classifier: found a checkpoint of 0 steps on this machine, and of ")
    assert checkpoints(own)


# --- No training to share ---


def test_images_are_computed_once(own: Project) -> None:
    first, second = finish(own, stage="features")
    assert Counts.of("\n".join(first)) == Counts(IMAGES, 0) and second == []
    assert open_artifact("features", folder=own.data).ids


@pytest.mark.slow
@pytest.mark.parametrize("by", ["srun", "torchrun"])
def test_where_nothing_is_to_be_learned_all_leave(own: Project, by: str) -> None:
    assert not any(finish(own, stage="pretraining", by=by))


@pytest.mark.slow
def test_what_is_solved_at_once_is_solved_by_one(own: Project) -> None:
    cnn = own.params()["features"]["cnn"]
    change_params(own, "features", method="cnn", cnn=cnn | {"centred": False})  # so that means tell images apart
    own.run("features")
    change_params(own, "classifier", method="linear", features="features")
    first, second = finish(own)
    assert second == [] and published(own), first


@pytest.mark.parametrize("devices", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_script_of_a_job_is_no_launch(own: Project, shared: Project, devices: str) -> None:
    done = own.program("classifier", "--devices", devices, "--device", "cpu", environment=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert_alike(own, shared)
