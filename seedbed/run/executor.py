"""Runs tasks in this process, in worker processes, or on a dask cluster, with the same result.

A task is a whole shard: it reads its own inputs, writes its own output and returns a number. There are never more tasks running than
workers, so memory does not grow with the number of tasks.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import RawArray
from typing import Any, TypeVar

import cv2
import threadpoolctl

from seedbed.errors import MachineError
from seedbed.run import interruption

T = TypeVar("T")
R = TypeVar("R")
POLL_SECONDS = 0.2  # between two checks of the workers' progress
CLUSTER_POLL_SECONDS = 5.0  # between two checks whether a cluster can still be reached
CONNECT_SECONDS = 30.0  # to wait for an answer from a scheduler
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # for libraries that are imported later


@dataclass(frozen=True)
class Workers:
    """Where work runs."""

    workers: int = 1  # processes; 1 is this process itself
    scheduler: str = ""  # address of a dask scheduler; takes precedence over workers
    gpus: int = 0  # GPUs that the work uses; several get one worker each, whatever `workers` says


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    place: Workers,
    name: Callable[[T], str],
    size: Callable[[T], int],
    advance: Callable[[int], None],
) -> Iterator[tuple[T, R]]:
    """Call a function with every task, and yield tasks with their results in the order in which they finish.

    A task whose worker died is run once more from its beginning, so its earlier output must not get in the way.

    name: names a task in the message for one that kills its workers.
    size: steps of a task; used on a cluster only, which does not report single steps.
    advance: called with the number of further steps done. Steps of a task that is run again are reported once.
    """
    workers = min(place.gpus or place.workers, len(tasks))
    if tasks and place.scheduler:
        for task, result in _run_on_cluster(function, tasks, place.scheduler, name):
            advance(size(task))
            yield task, result
    elif workers > 1:
        yield from _run_in_processes(function, tasks, _assign_gpus(place.gpus, workers), name, advance)
    else:
        for task in tasks:
            with _single_threaded(partial(advance, 1)):
                result = function(task)
            yield task, result


def step() -> None:
    """Count one image. Tasks call it, wherever they run, so that progress is visible within a shard."""
    _count()


class _Worker:
    """A pool of one process."""

    def __init__(self, device: str, steps: Any) -> None:
        # Spawned, because processes that are forked after threads were started can hang.
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_worker, (device, steps))
        self._processes: set[BaseProcess] = set()

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Call a function in the process, which the first call starts."""
        with interruption.defer_signals():  # else a signal may leave behind a process that is not in the list
            before = set(multiprocessing.active_children())
            future = self._pool.submit(function, *arguments)
            self._processes |= set(multiprocessing.active_children()) - before
        return future

    def end(self) -> None:
        """Kill the process. Its unfinished output is never used."""
        for process in self._processes:
            process.kill()
        self._pool.shutdown(cancel_futures=True)


def _run_in_processes(
    function: Callable[[T], R], tasks: Sequence[T], devices: Sequence[str], name: Callable[[T], str], advance: Callable[[int], None]
) -> Iterator[tuple[T, R]]:
    """Run tasks with one worker process for each device.

    Every worker is a pool of its own, so one that dies takes no other task with it, and it is known which task it had.
    devices: CUDA_VISIBLE_DEVICES of each worker; empty leaves it as it is.
    """
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # every worker takes eight open files here, and the soft limit is often 1024
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    # A counter for every task, reset when the task starts. It has no lock, because a killed worker would never release one.
    steps, reported = RawArray("q", len(tasks)), 0
    waiting = deque(range(len(tasks)))
    died: set[int] = set()  # tasks whose worker died; they run again alone, because they may need the memory
    workers: dict[int, _Worker] = {}
    running: dict[Future[R], tuple[int, int]] = {}  # task and worker

    def submit(index: int, worker: int) -> Future[R]:
        if worker not in workers:
            workers[worker] = _Worker(devices[worker], steps)
        try:
            return workers[worker].submit(_run_counted, function, index, tasks[index])
        except BrokenExecutor:  # the worker died while it was idle
            _end_workers({worker: workers.pop(worker)})
            return submit(index, worker)

    def start() -> None:
        for worker in set(range(len(devices))) - {worker for _, worker in running.values()}:
            indices = {index for index, _ in running.values()}
            if not waiting or (indices and died & {waiting[0], *indices}):
                return
            if waiting[0] in died:
                _end_workers(workers)  # even idle ones hold memory
            index = waiting.popleft()
            running[submit(index, worker)] = index, worker

    try:
        while waiting or running:
            start()
            done = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done
            if (counted := sum(steps)) > reported:  # it drops when a task starts again
                advance(counted - reported)
                reported = counted
            for future in done:
                index, worker = running.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor as error:
                    if index in died:
                        raise _repeated_crash_error(
                            name(tasks[index]), "a worker process that died twice on this task", "use fewer --workers"
                        ) from error
                    died.add(index)
                    waiting.appendleft(index)
                    _end_workers({worker: workers.pop(worker)})
                else:
                    start()  # before the result is yielded, so that no worker waits for its consumer
                    yield tasks[index], result
    finally:
        _end_workers(workers)


def _end_workers(workers: dict[int, _Worker]) -> None:
    """End workers in parallel, because each takes a moment."""
    with ThreadPoolExecutor(len(workers) or 1) as threads:
        for worker in workers.values():
            threads.submit(worker.end)
    workers.clear()


def _assign_gpus(gpus: int, workers: int) -> list[str]:
    """CUDA_VISIBLE_DEVICES of every worker: one of the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
    return visible.split(",")[:workers] if gpus else [""] * workers


def _start_worker(device: str, steps: Any) -> None:
    """What a worker process does first."""
    global _steps
    interruption.follow_parent()
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    _keep_to_one_thread()
    _steps = steps


def _count() -> None:
    """What `step` does: nothing, until a worker or `_single_threaded` replaces it with a counter."""


_steps: Any = None  # in a worker: the counters of all tasks


def _run_counted(function: Callable[[T], R], index: int, task: T) -> R:
    """Run a task in a worker process, and count its steps."""
    global _count
    _steps[index] = 0

    def count() -> None:
        _steps[index] += 1

    _count = count
    return _run_in_worker(function, task)


def _run_in_worker(function: Callable[[T], R], task: T) -> R:
    """Run a task on one thread, and raise errors that can be sent back."""
    _keep_to_one_thread()
    try:
        return function(task)
    except Exception as error:
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:  # an error that cannot be unpickled would look like the death of the worker
            raise RuntimeError("".join(traceback.format_exception(error))) from None
        raise


def _keep_to_one_thread() -> threadpoolctl.threadpool_limits:
    """Use one thread: floating-point sums depend on the number of threads, and workers share the processors."""
    os.environ.update(ONE_THREAD)
    cv2.setNumThreads(1)
    if torch := _torch():
        torch.set_num_threads(1)
    return threadpoolctl.threadpool_limits(1)


@contextmanager
def _single_threaded(count: Callable[[], None]) -> Iterator[None]:
    """Use one thread and count steps within the block. If torch is first imported there, it keeps its one thread afterwards."""
    global _count
    environment = {name: os.environ.get(name) for name in ONE_THREAD}
    torch, opencv_threads, count_before = _torch(), cv2.getNumThreads(), _count
    torch_threads = torch.get_num_threads() if torch else 0
    limits, _count = _keep_to_one_thread(), count
    try:
        yield
    finally:
        _count = count_before
        limits.restore_original_limits()
        cv2.setNumThreads(opencv_threads)
        if torch:
            torch.set_num_threads(torch_threads)
        for name, value in environment.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _torch() -> Any:
    """PyTorch, if something else has imported it: tasks without a network must not pay for the import."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "set_num_threads") else None  # another thread may be importing it right now


def _run_on_cluster(function: Callable[[T], R], tasks: Sequence[T], scheduler: str, name: Callable[[T], str]) -> Iterator[tuple[T, R]]:
    try:
        import distributed
    except ImportError as error:
        raise MachineError(
            "--scheduler", found=f"no package {error.name}", expected="the extra `cluster`", do="run `pip install seedbed[cluster]`"
        ) from error
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise MachineError(
            "--scheduler", found=f"no answer from {scheduler}", expected="a dask scheduler", do="start one, or omit the option"
        ) from error
    # Not dask's own concurrent.futures.Executor: if the scheduler is lost at the wrong moment, its futures never finish.
    with client:
        waiting = deque(tasks)
        running: dict[Any, T] = {}
        try:
            while waiting or running:
                # One for each thread: if a worker with more tasks dies, dask may blame one that had not even started.
                for _ in range(min(_count_threads(client) - len(running), len(waiting))):
                    task = waiting.popleft()
                    # Not pure: tasks write files, so they must run even if dask has seen the same task before.
                    running[client.submit(partial(_run_in_worker, function, task), pure=False)] = task
                for future in _collect_done(list(running)):
                    task = running.pop(future)
                    yield task, future.result()
                if client.status == "closed":  # futures that were submitted at the wrong moment would never finish
                    raise CancelledError
        except distributed.KilledWorker as error:
            raise _repeated_crash_error(name(task), "that every dask worker died on this task", "read the logs of the workers") from error
        except CancelledError as error:
            found = f"that the connection to {scheduler} was lost"
            raise MachineError("--scheduler", found=found, expected="a running scheduler", do="read its log") from error


def _collect_done(futures: list[Any]) -> set[Any]:
    """The futures that are done. Waits for one, but not for ever."""
    import distributed

    try:
        return set(distributed.wait(futures, CLUSTER_POLL_SECONDS, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return set()


def _count_threads(client: Any) -> int:
    """Threads of a cluster; 1 while it has no workers.

    `client.nthreads()` is not used: it has no timeout, and waits for ever if the scheduler dies meanwhile.
    """
    try:
        threads: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=CONNECT_SECONDS)
    except (OSError, AttributeError) as error:  # AttributeError: a client that has just been closed has no scheduler
        raise CancelledError from error
    return max(1, sum(threads.values()))


def _repeated_crash_error(where: str, found: str, do: str) -> MachineError:
    return MachineError(where, found=found, expected="the task to finish", do=f"check whether memory ran out; {do}")
