"""What processes that were started together say to each other."""

from __future__ import annotations

import dataclasses
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from seedbed.errors import MachineError, TrainingError
from seedbed.run import fingerprint, launch
from seedbed.run.launch import Launch

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_WORLD_SIZE": "2",
}
SCRIPT = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}
HASH_STORE: Any = vars(torch.distributed)["HashStore"]  # which torch gives no type
STEP = SCRIPT | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Gives this process variables, and takes others of the kind away."""

    def give(variables: dict[str, str]) -> None:
        for name in {*TORCHRUN, *STEP, "SLURM_JOB_NAME"}:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        (TORCHRUN, Launch("torchrun", 3, 4, 2, 2)),
        (STEP, Launch("srun", 3, 4, 2, 2)),
        (STEP | {"SLURM_JOB_NAME": "interactive"}, Launch("srun", 3, 4, 2, 2)),  # srun within salloc
        (SCRIPT, None),
        (SCRIPT | {"SLURM_JOB_NAME": "interactive"}, None),
        (SCRIPT | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, None),  # as `srun --pty bash`
        (STEP | TORCHRUN | {"RANK": "0"}, Launch("torchrun", 0, 4, 2, 2)),  # a torchrun on each machine, started by srun
    ],
)
def test_who_is_launched(variables: dict[str, str], found: Launch | None, given: Callable[[dict[str, str]], None]) -> None:
    given(variables)
    assert launch.find() == found


@pytest.mark.parametrize("variables", [TORCHRUN, STEP])
def test_fabric_reads_the_same(variables: dict[str, str], given: Callable[[dict[str, str]], None]) -> None:
    given(variables)
    found = launch.find()
    assert found is not None
    environment = found.environment
    assert (environment.global_rank(), environment.world_size(), environment.local_rank()) == (3, 4, 1)
    environment.validate_settings(num_devices=found.local_size, num_nodes=found.nodes)
    assert environment.creates_processes_externally
    assert TorchElasticEnvironment.detect() == (found.program == "torchrun")


@pytest.mark.parametrize(
    ("uneven", "message"),
    [
        (
            Launch("srun", 0, 3, 0, 2),
            "srun: found 3 processes on 2 machines, of which one has an unknown number; expected as many on each; "
            "start it with --nodes and --ntasks-per-node",
        ),
        (
            Launch("torchrun", 0, 3, 2, 2),
            "torchrun: found 3 processes on 2 machines, of which one has 2; expected as many on each; start it with one --nproc-per-node",
        ),
    ],
)
def test_as_many_on_each_machine(uneven: Launch, message: str) -> None:
    with pytest.raises(MachineError) as raised, uneven.joined():
        pytest.fail("it went on")
    assert str(raised.value) == message
    with pytest.raises(SystemExit) as ended, dataclasses.replace(uneven, rank=1).joined():
        pytest.fail("it went on")
    assert ended.value.code == 2


def test_who_finds_no_other_says_so(monkeypatch: pytest.MonkeyPatch, given: Callable[[dict[str, str]], None]) -> None:
    def fail(*_: Any) -> Iterator[Any]:
        raise torch.distributed.DistNetworkError("no answer\nand a trace")
        yield

    given(STEP | {"MASTER_ADDR": "node7", "MASTER_PORT": "15001"})
    monkeypatch.setattr(sys.modules["torch.distributed.rendezvous"], "rendezvous", fail)
    process = launch.find()
    assert process is not None
    with pytest.raises(MachineError) as raised, process.joined():
        pytest.fail("it went on")
    assert str(raised.value) == (
        f"process 3 of 4, on {socket.gethostname()}: found no meeting at node7, port 15001: no answer; "
        "expected all processes to find each other there; see MASTER_ADDR and MASTER_PORT in docs/scale.md"
    )


def test_a_gpu_for_each() -> None:
    Launch("srun", 1, 4, 2, 2).check_gpus(2)
    with pytest.raises(MachineError, match="found 1 visible GPUs for 2 processes on this machine; expected one for each"):
        Launch("srun", 1, 4, 2, 2).check_gpus(1)


# --- Words ---


def together(lead: Callable[[Launch], Any], follow: Callable[[Launch], Any]) -> list[Any]:
    """Do things as the first and as the second of two processes, which here are threads. Returns what each returned or raised."""
    board = HASH_STORE()

    def act(rank: int) -> Any:
        process = Launch("torchrun", rank, 2, 2, 1)
        vars(process)["_board"] = board
        try:
            return (follow if rank else lead)(process)
        except (Exception, SystemExit) as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(act, range(2)))


def agree(process: Launch, *, training: str = "one", device: str = "cpu") -> None:
    process.agree(training=training, device=device)


def test_processes_agree_on_a_training() -> None:
    def act(process: Launch) -> str:
        process._await_training() if process.rank else time.sleep(0.2)
        agree(process)
        if process.rank:
            process.leave()
        return "goes on"

    lead, follow = together(act, act)
    assert lead == "goes on" and isinstance(follow, SystemExit) and follow.code == 0


@pytest.mark.parametrize(
    ("differs", "found"),
    [
        ({"training": "other"}, "found another training than process 0 has begun; expected the same parameters, data, code and packages"),
        ({"device": "cuda"}, "found cuda; expected cpu, as in process 0; use machines of one kind"),
    ],
)
def test_who_differs_is_refused_and_the_first_learns_of_it(differs: dict[str, str], found: str) -> None:
    def follow(process: Launch) -> None:
        process._await_training()
        try:
            agree(process, **differs)
        finally:
            assert process._is_first_to_end()

    lead, refused = together(agree, follow)
    assert isinstance(refused, MachineError) and found in str(refused)
    assert isinstance(lead, TrainingError) and "found that another of its processes has ended" in str(lead)


def test_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Launch("torchrun", 1, 2, 2, 1)
    vars(process)["_board"] = board = HASH_STORE()
    board.set(launch.WORD, json.dumps({"sources": "others", "training": "one", "device": "cpu"}))
    with pytest.raises(MachineError, match="found other sources than those of the run that it joins"):
        process._await_training()
    monkeypatch.setattr(fingerprint, "startup_digest", lambda: "others")
    process._await_training()


def test_who_finds_no_training_where_the_first_has_begun_one_is_refused() -> None:
    with pytest.raises(MachineError, match="found another training than process 0 has begun"):
        Launch("torchrun", 1, 2, 2, 1).leave()


@pytest.mark.parametrize(("fails", "status"), [(False, 0), (True, 2)])
def test_where_nothing_is_to_be_learned_the_others_leave(fails: bool, status: int) -> None:
    def act(process: Launch) -> None:
        with process.joined():
            assert process.leads, "it went on"
            if fails:
                raise TrainingError("it", found="trouble", expected="none", do="nothing")

    lead, follow = together(act, act)
    assert isinstance(lead, TrainingError) if fails else lead is None
    assert isinstance(follow, SystemExit) and follow.code == status


def test_where_the_first_is_gone_the_others_leave() -> None:
    class Gone:
        def check(self, names: list[str]) -> bool:
            raise torch.distributed.DistNetworkError("Connection reset by peer")

        add: Any = check

    process = Launch("srun", 1, 2, 2, 1)
    vars(process)["_board"] = Gone()
    with pytest.raises(SystemExit) as ended:
        process._await_training()
    assert ended.value.code == 2


def test_the_first_to_fail_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    processes, board = [Launch("srun", rank, 2, 2, 1) for rank in range(2)], HASH_STORE()
    for process in processes:
        vars(process)["_board"] = board
    for process in reversed(processes):
        process.end(f"error: {process.rank}", 2)
    assert capsys.readouterr().err == "error: 1\n" and ended == [2, 2]
    Launch("srun", 1, 2, 2, 1).end("error before it met another", 2)
    assert capsys.readouterr().err == "error before it met another\n"


def test_what_torch_says_of_lost_processes_is_told_from_other_errors() -> None:
    process = Launch("srun", 1, 2, 2, 1)
    for lost in (torch.distributed.DistBackendError("NCCL error"), RuntimeError("[third_party/gloo/transport/tcp/pair.cc:553] closed")):
        explained = process.explain(lost, "classifier")
        assert str(explained) == "classifier: found that another of its processes has ended; expected all to go on; run it again to resume"
    for other in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), MemoryError()):
        assert process.explain(other, "classifier") is None
    assert "torch" in sys.modules


def test_who_waits_hears_of_an_error_that_nobody_foresaw() -> None:
    processes, board = [Launch("srun", rank, 2, 2, 1) for rank in range(2)], HASH_STORE()
    for process in processes:
        vars(process)["_board"] = board
    with pytest.raises(ZeroDivisionError), processes[1].reporting():
        _ = 1 / 0
    with pytest.raises(TrainingError, match="another of its processes has ended"):
        processes[0].agree(training="one", device="cpu")
    with pytest.raises(ZeroDivisionError), Launch("srun", 0, 2, 2, 1).reporting():  # which has met no other yet
        _ = 1 / 0
