"""Wherever work runs, all of it is done exactly once; no death of a process loses anything, hangs, or leaves a process behind."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar

import cv2
import pytest

from seedbed.errors import DataError, MachineError
from seedbed.run import executor
from seedbed.run.executor import Workers
from tests.support import killers
from tests.support.killers import Shard, traces

R = TypeVar("R")
TWO = Workers(workers=2)
SQUARES = [(number, number**2) for number in range(6)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a dask cluster of two processes, whose scheduler gives a task up when it has cost it two workers."""
    distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as started,
    ):
        yield started.scheduler_address


@pytest.fixture(params=["here", "processes", "cluster"])
def place(request: pytest.FixtureRequest) -> Workers:
    """Every place that work can run at."""
    if request.param == "cluster":
        return Workers(scheduler=request.getfixturevalue("cluster"))
    return Workers(workers=2 if request.param == "processes" else 1)


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard]:
    """Six of them, of 1 to 6 images."""
    return [Shard(number, 1 + number, tmp_path) for number in range(6)]


@pytest.fixture
def told() -> list[int]:
    """What `advance` was called with."""
    return []


class Run(Protocol):
    """`completed`, with the arguments that are always the same."""

    def __call__(self, function: Callable[[Shard], R], tasks: Sequence[Shard], place: Workers) -> Iterator[tuple[Shard, R]]: ...


@pytest.fixture
def run(told: list[int]) -> Run:
    def call(function: Callable[[Shard], R], tasks: Sequence[Shard], place: Workers) -> Iterator[tuple[Shard, R]]:
        return executor.run_tasks(function, tasks, place=place, name=killers.name, size=killers.images, advance=told.append)

    return call


def children() -> list[str]:
    """Names of the processes that this one has started, without those of the cluster."""
    return [child.name for child in multiprocessing.active_children() if not child.name.startswith("Dask")]


def numbered(results: Iterator[tuple[Shard, int]]) -> list[tuple[int, int]]:
    return sorted((shard.number, result) for shard, result in results)


def test_everything_is_done_once_and_every_step_is_told(run: Run, shards: list[Shard], place: Workers, told: list[int]) -> None:
    assert numbered(run(killers.squared, shards, place)) == SQUARES
    assert sorted(number for number, _ in traces(shards[0].folder)) == list(range(6))
    assert sum(told) == 21


def test_nothing_to_do(run: Run, place: Workers) -> None:
    assert list(run(killers.squared, [], place)) == []


def test_a_single_task_needs_no_other_process(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    for place in (Workers(workers=4), Workers(gpus=4), Workers(workers=4, gpus=1)):
        assert numbered(run(killers.squared, shards[:1], place)) == [(0, 0)]
    assert {pid for _, pid in traces(tmp_path)} == {os.getpid()}


def test_one_gpu_is_used_by_this_process(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    assert numbered(run(killers.squared, shards, Workers(workers=4, gpus=1))) == SQUARES
    assert {pid for _, pid in traces(tmp_path)} == {os.getpid()}


def test_work_runs_in_as_many_processes_as_wanted(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    (tmp_path / "heard").touch()
    list(run(killers.heard, shards, TWO))
    pids = {pid for _, pid in traces(tmp_path)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_steps_are_told_while_a_shard_is_under_way(shards: list[Shard], tmp_path: Path) -> None:
    def advance(_: int) -> None:
        (tmp_path / "heard").touch()

    results = executor.run_tasks(killers.heard, shards, place=TWO, name=killers.name, size=killers.images, advance=advance)
    assert numbered(results) == SQUARES


def test_a_step_outside_of_everything_is_nothing() -> None:
    executor.step()


def test_an_error_arrives_as_it_was_raised(run: Run, shards: list[Shard], place: Workers) -> None:
    with pytest.raises(DataError) as raised:
        list(run(killers.failing, shards[3:], place))
    assert str(raised.value) in {f"shard {number}: found no image; expected one; look for it" for number in (3, 4, 5)}
    assert not children()


def test_an_error_that_cannot_travel_is_not_taken_for_a_death(run: Run, shards: list[Shard], place: Workers) -> None:
    with pytest.raises(Exception, match=r"shard \d and more"):
        list(run(killers.failing_in_two_parts, shards, place))


def test_only_a_bounded_number_is_under_way(run: Run, tmp_path: Path, place: Workers) -> None:
    results = run(killers.squared, [Shard(number, 1, tmp_path) for number in range(100)], place)
    next(results)
    assert len(traces(tmp_path)) <= 4
    assert isinstance(results, Generator)
    results.close()


# -- deaths


def test_a_worker_that_dies_once_costs_nothing(run: Run, shards: list[Shard], tmp_path: Path, told: list[int]) -> None:
    assert numbered(run(killers.killed_once, shards, TWO)) == SQUARES
    assert sorted(number for number, _ in traces(tmp_path)) == [0, 1, 2, 2, 3, 4, 5]
    assert sum(told) == 21


def test_steps_of_a_shard_that_is_done_again_are_told_once(shards: list[Shard], told: list[int], tmp_path: Path) -> None:
    def advance(steps: int) -> None:
        told.append(steps)
        if sum(told) == 3 + 4:
            (tmp_path / "heard").touch()

    work = killers.killed_when_heard
    results = executor.run_tasks(work, shards[2:4], place=TWO, name=killers.name, size=killers.images, advance=advance)
    assert numbered(results) == SQUARES[2:4]
    assert sum(told) == 3 + 4
    assert min(told) > 0


def test_a_dask_worker_that_dies_once_costs_nothing(run: Run, shards: list[Shard], cluster: str, told: list[int]) -> None:
    assert numbered(run(killers.killed_once, shards, Workers(scheduler=cluster))) == SQUARES
    assert sum(told) == 21


def test_whoever_kills_its_worker_twice_is_named(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    arrived: list[tuple[Shard, int]] = []
    with pytest.raises(MachineError) as raised:
        arrived.extend(run(killers.killed_always, shards, TWO))
    expected = (
        "found a worker process that died twice on this task; expected the task to finish; "
        "check whether memory ran out; use fewer --workers"
    )
    assert str(raised.value) == f"shard 2: {expected}"
    begun = [number for number, _ in traces(tmp_path)]
    assert begun.count(2) == 2
    assert sorted(begun) == sorted([*(shard.number for shard, _ in arrived), 2, 2])  # all others that were begun have arrived
    assert not children()


def test_whoever_kills_dask_workers_is_named(run: Run, shards: list[Shard], cluster: str) -> None:
    with pytest.raises(MachineError) as raised:
        list(run(killers.killed_always, shards, Workers(scheduler=cluster)))
    expected = (
        "found that every dask worker died on this task; expected the task to finish; "
        "check whether memory ran out; read the logs of the workers"
    )
    assert str(raised.value) == f"shard 2: {expected}"


def test_who_died_is_done_again_with_nobody_beside(run: Run, shards: list[Shard]) -> None:
    results = dict(numbered(run(killers.killed_together, shards, TWO)))
    assert list(results) == [0, 1, 2, 3, 4, 5]
    assert results[0] == results[1] == 1


def test_workers_that_die_idle_are_replaced(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    results = run(killers.squared, shards, TWO)
    first = next(results)
    killers.until(lambda: len(traces(tmp_path)) == 3)  # both have a task, or had one: nothing new begins while nobody asks
    for pid in {pid for _, pid in traces(tmp_path)}:
        os.kill(pid, signal.SIGKILL)
    killers.until(lambda: not children())
    assert sorted([first[0].number, *(shard.number for shard, _ in results)]) == [0, 1, 2, 3, 4, 5]


def test_no_process_stays_when_nobody_wants_more(run: Run, shards: list[Shard], tmp_path: Path) -> None:
    results = run(killers.endless, shards[:2], TWO)
    assert next(results)[0].number == 0
    assert isinstance(results, Generator)
    results.close()
    assert not children()
    for _, pid in traces(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_process_stays_when_the_parent_is_killed(project: Path, tmp_path: Path) -> None:
    program = f"from tests.support import killers; killers.wait_for_stuck_workers({str(tmp_path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=project, stdout=subprocess.PIPE)
    killers.until(lambda: len(traces(tmp_path)) == 2)
    parent.kill()
    # Its workers have the same standard output, which ends with the last of them.
    parent.communicate(timeout=killers.PATIENCE)


def test_workers_are_not_limited_by_open_files(run: Run, shards: list[Shard]) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = max(int(file.name) for file in Path("/dev/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 16, before[1]))
    try:
        assert numbered(run(killers.squared, shards, Workers(workers=4))) == SQUARES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- threads and GPUs


@pytest.mark.parametrize(("visible", "devices"), [(None, ["0", "1"]), ("", ["0", "1"]), ("3,5", ["3", "5"]), ("3,5,7", ["3", "5"])])
def test_gpus_that_are_shared_out_are_those_that_this_process_sees(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, devices: list[str]
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list(executor._assign_gpus(2, 2)) == devices


def test_every_worker_has_a_gpu_of_its_own(run: Run, shards: list[Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    found = [device for _, device in run(killers.device, shards, Workers(gpus=2))]  # one of the workers dies and is replaced
    assert len(found) == 6
    assert set(found) == {"3", "5"}


def test_workers_without_gpus_see_what_this_process_sees(run: Run, shards: list[Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert {device for _, device in run(killers.device, shards, TWO)} == {"3,5"}


def test_workers_have_one_thread(run: Run, shards: list[Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [found for _, found in run(killers.threads, shards[:2], TWO)] == [(False, 1, 1)] * 2


def test_work_in_this_process_has_one_thread_for_a_while(run: Run, shards: list[Shard]) -> None:
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    assert [found for _, found in run(killers.threads, shards[:1], Workers())] == [(True, 1, 1)]
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_torch_that_is_imported_by_work_in_this_process_has_one_thread(project: Path, tmp_path: Path) -> None:
    program = f"from tests.support import killers; killers.import_torch_at_work({str(tmp_path)!r})"
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "(False, 1, 1) 2\n"


@pytest.mark.parametrize(("given", "sleep"), [({}, True), ({"OMP_WAIT_POLICY": "active"}, False)])
def test_threads_that_wait_sleep_unless_somebody_wants_them_to_spin(project: Path, given: dict[str, str], sleep: bool) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given | {"OMP_DISPLAY_ENV": "VERBOSE"}
    found = importlib.util.find_spec("torch")
    assert found is not None and found.submodule_search_locations
    [torch] = found.submodule_search_locations
    of_torch = [*Path(torch, "lib").glob("libgomp*"), *Path(f"{torch}.libs").glob("libgomp*")]
    if not of_torch:
        pytest.skip("this torch has another OpenMP than GNU's, which does not say how long threads spin")
    text = f"import stages, ctypes; ctypes.CDLL({str(of_torch[0])!r})"  # as a stage begins, but for all else that torch loads
    done = subprocess.run([sys.executable, "-c", text], cwd=project, env=variables, capture_output=True, text=True, check=True)
    assert ("GOMP_SPINCOUNT = '0'" in done.stderr) == sleep


# -- schedulers


@pytest.mark.slow
def test_nobody_at_the_address_of_the_scheduler(run: Run, shards: list[Shard]) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(MachineError) as raised:
        list(run(killers.squared, shards, Workers(scheduler="tcp://127.0.0.1:1")))
    expected = "--scheduler: found no answer from tcp://127.0.0.1:1; expected a dask scheduler; start one, or omit the option"
    assert str(raised.value) == expected


def test_an_address_that_is_none(run: Run, shards: list[Shard]) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(MachineError, match=r"--scheduler: found "):
        list(run(killers.squared, shards, Workers(scheduler="not an address")))


def test_a_scheduler_without_its_package(run: Run, shards: list[Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError) as raised:
        list(run(killers.squared, shards, Workers(scheduler="tcp://127.0.0.1:1")))
    expected = "--scheduler: found no package distributed; expected the extra `cluster`; run `pip install seedbed[cluster]`"
    assert str(raised.value) == expected


class Lost:
    """A connection to a scheduler that goes away as soon as it has been given work."""

    status = "running"
    question: str = "ncores"  # what is asked of the scheduler
    how = "closed"

    def __init__(self, address: str, *, timeout: float) -> None:
        self.address = address

    def __enter__(self) -> Lost:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def scheduler(self) -> Any:
        return None if self.status == "gone" else SimpleNamespace(ncores=self.question)

    def sync(self, question: str, *, callback_timeout: float) -> dict[str, int]:
        assert (question, callback_timeout) == (self.question, executor.CONNECT_SECONDS)
        if self.status == "silent":
            raise TimeoutError
        return {"worker": 1}

    def submit(self, work: Callable[[], int], *, pure: bool) -> object:
        self.status = self.how
        return object()


@pytest.mark.parametrize("how", ["closed", "silent", "gone"])
def test_a_connection_that_is_lost_is_told(how: str, run: Run, shards: list[Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", Lost)
    monkeypatch.setattr(Lost, "how", how)
    monkeypatch.setattr(executor, "_collect_done", lambda futures: set())
    with pytest.raises(MachineError, match="--scheduler: found that the connection to somewhere was lost; expected a running"):
        list(run(killers.squared, shards, Workers(scheduler="somewhere")))


@pytest.mark.slow
def test_a_scheduler_that_goes_away(run: Run, shards: list[Shard], project: Path) -> None:
    pytest.importorskip("distributed")
    program = "from tests.support import killers; killers.schedule_until_there_is_work()"
    with subprocess.Popen([sys.executable, "-c", program], cwd=project, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        address = started.stdout.readline().strip()
        try:
            with pytest.raises(MachineError) as raised:
                list(run(killers.squared, shards, Workers(scheduler=address)))
        finally:
            started.kill()
    assert str(raised.value) == f"--scheduler: found that the connection to {address} was lost; expected a running scheduler; read its log"
