"""Where work runs: in this process, in a pool of fresh processes, or on a dask cluster. The result is the same.

Whole shards are handed out: a task reads its own input, writes its own output and gives back a small record. No more tasks are under
way than there are workers, so memory stays flat however many tasks there are.
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
POLL_SECONDS = 0.2  # between two looks at how far the workers are
LOOK_SECONDS = 5.0  # between two looks at whether a cluster is still there
CONNECT_SECONDS = 30.0  # until there is no scheduler
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # for what is imported later


@dataclass(frozen=True)
class Workers:
    """Where work runs."""

    workers: int = 1  # processes; 1 is this one
    scheduler: str = ""  # address of a dask scheduler; it goes before workers
    gpus: int = 0  # GPUs that the work uses: with several there is one worker for each, whatever `workers` says


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    place: Workers,
    named: Callable[[T], str],
    size: Callable[[T], int],
    advance: Callable[[int], None],
) -> Iterator[tuple[T, R]]:
    """What a function makes of every task, as they are done (no order is promised).

    A task whose worker died is done once more from its beginning, so what it has written by then must not be in its way.

    named: what a message calls a task that no worker survives.
    size: steps of a task; asked on a cluster only, from where no single steps are heard.
    advance: told how many more steps were made. Steps of a task that is done again are told once.
    """
    workers = min(place.gpus or place.workers, len(tasks))
    if tasks and place.scheduler:
        for task, result in _on_cluster(function, tasks, place.scheduler, named):
            advance(size(task))
            yield task, result
    elif workers > 1:
        yield from _in_processes(function, tasks, _devices(place.gpus, workers), named, advance)
    else:
        for task in tasks:
            with _single_threaded(partial(advance, 1)):
                result = function(task)
            yield task, result


def step() -> None:
    """Called by the work after every image: counted wherever it runs, so that progress is seen within a shard."""
    _count()


class _Worker:
    """A pool of one process."""

    def __init__(self, begin: tuple[Any, ...]) -> None:
        # Spawned, because processes that are forked after threads were started can hang.
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, begin)
        self._processes: set[BaseProcess] = set()

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Have something done; the process is started for the first of it."""
        with interruption.defer_signals():  # or a process may be started that nobody knows of
            before = set(multiprocessing.active_children())
            future = self._pool.submit(function, *arguments)
            self._processes |= set(multiprocessing.active_children()) - before
        return future

    def end(self) -> None:
        """End the process, whatever it is doing: what it has not put in place is not missed."""
        for process in self._processes:
            process.kill()
        self._pool.shutdown(cancel_futures=True)


def _in_processes(
    function: Callable[[T], R], tasks: Sequence[T], devices: Sequence[str], named: Callable[[T], str], advance: Callable[[int], None]
) -> Iterator[tuple[T, R]]:
    """One worker for each device; one without a name is whatever this process sees.

    Every worker is a pool of its own: one that dies takes no other shard with it, and it is known which one it had.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # every worker keeps eight files open here, and often no more than 1024 are allowed at first
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # A counter for every task, which starts again with the task. Without a lock, which a worker that is killed would keep for ever.
    steps, told = RawArray("q", len(tasks)), 0
    waiting = deque(range(len(tasks)))
    died: set[int] = set()  # tasks whose worker died; nothing runs beside them when they are done again, for they may need the memory
    workers: dict[int, _Worker] = {}
    flying: dict[Future[R], tuple[int, int]] = {}  # task and worker

    def submit(index: int, worker: int) -> Future[R]:
        if worker not in workers:
            workers[worker] = _Worker((devices[worker], steps))
        try:
            return workers[worker].submit(_in_worker, function, index, tasks[index])
        except BrokenExecutor:  # the worker died while it had nothing to do
            _end({worker: workers.pop(worker)})
            return submit(index, worker)

    def start() -> None:
        for worker in set(range(len(devices))) - {worker for _, worker in flying.values()}:
            running = {index for index, _ in flying.values()}
            if not waiting or (running and died & {waiting[0], *running}):
                return
            if waiting[0] in died:
                _end(workers)  # they keep memory even when they have nothing to do
            index = waiting.popleft()
            flying[submit(index, worker)] = index, worker

    try:
        while waiting or flying:
            start()
            done = wait(flying, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done
            if (now := sum(steps)) > told:  # it is less when a task has begun again
                advance(now - told)
                told = now
            for future in done:
                index, worker = flying.pop(future)
                try:
                    result = future.result()
                except BrokenExecutor as error:
                    if index in died:
                        raise _repeated_crash_error(
                            named(tasks[index]), "a worker process that died twice", "use fewer --workers"
                        ) from error
                    died.add(index)
                    waiting.appendleft(index)
                    _end({worker: workers.pop(worker)})
                else:
                    start()  # before the result is handed over: no worker waits for whoever takes it
                    yield tasks[index], result
    finally:
        _end(workers)


def _end(workers: dict[int, _Worker]) -> None:
    """End workers, all at once because each takes a moment."""
    with ThreadPoolExecutor(len(workers) or 1) as threads:
        for worker in workers.values():
            threads.submit(worker.end)
    workers.clear()


def _devices(gpus: int, workers: int) -> list[str]:
    """CUDA_VISIBLE_DEVICES of every worker: one of the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
    return visible.split(",")[:workers] if gpus else [""] * workers


def _begin(device: str, steps: Any) -> None:
    """What a worker does first."""
    global _steps
    interruption.follow_parent()
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    _keep_to_one_thread()
    _steps = steps


def _count() -> None:
    """What `step` does where nobody hears of it; replaced where somebody does."""


_steps: Any = None  # in a worker: the counters of all tasks


def _in_worker(function: Callable[[T], R], index: int, task: T) -> R:
    global _count
    _steps[index] = 0

    def count() -> None:
        _steps[index] += 1

    _count = count
    return _run_in_worker(function, task)


def _run_in_worker(function: Callable[[T], R], task: T) -> R:
    _keep_to_one_thread()
    try:
        return function(task)
    except Exception as error:
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:  # it cannot be read at the other end, which would look like the death of the worker
            raise RuntimeError("".join(traceback.format_exception(error))) from None
        raise


def _keep_to_one_thread() -> threadpoolctl.threadpool_limits:
    """Sums of floating-point numbers depend on how many threads share them, and workers share the processors."""
    os.environ.update(ONE_THREAD)
    cv2.setNumThreads(1)
    if torch := _torch():
        torch.set_num_threads(1)
    return threadpoolctl.threadpool_limits(1)


@contextmanager
def _single_threaded(count: Callable[[], None]) -> Iterator[None]:
    """One thread, and steps that are counted, for a while. A torch that is first imported meanwhile keeps its one thread."""
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
    """PyTorch if something else has imported it: work without a network must not pay for it."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "set_num_threads") else None  # another thread may just be importing it


def _on_cluster(function: Callable[[T], R], tasks: Sequence[T], scheduler: str, named: Callable[[T], str]) -> Iterator[tuple[T, R]]:
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
            "--scheduler", found=f"nobody at {scheduler}", expected="a dask scheduler", do="start one, or leave it out"
        ) from error
    # Not by dask's own concurrent.futures.Executor, whose futures stay unfinished for ever if the scheduler is lost at the wrong moment.
    with client:
        waiting = deque(tasks)
        flying: dict[Any, T] = {}
        try:
            while waiting or flying:
                # One for each thread: if more were sent to a worker that dies, dask might blame one that had not even begun.
                for _ in range(min(_threads(client) - len(flying), len(waiting))):
                    task = waiting.popleft()
                    # Not pure: work that writes must be done even where the same was done before.
                    flying[client.submit(partial(_run_in_worker, function, task), pure=False)] = task
                for future in _collect_done(list(flying)):
                    task = flying.pop(future)
                    yield task, future.result()
                if client.status == "closed":  # futures that were submitted at the wrong moment would stay unfinished for ever
                    raise CancelledError
        except distributed.KilledWorker as error:
            raise _repeated_crash_error(named(task), "a dask worker that died each time", "see the logs of the workers") from error
        except CancelledError as error:
            found = f"that {scheduler} went away"
            raise MachineError("--scheduler", found=found, expected="it to stay", do="see its log") from error


def _collect_done(futures: list[Any]) -> set[Any]:
    """Those futures of a cluster that are done: one at least, or none after a while."""
    import distributed

    try:
        return set(distributed.wait(futures, LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return set()


def _threads(client: Any) -> int:
    """Threads of a cluster; one where no worker has come yet.

    Asked in a way that ends: `client.nthreads()` waits without a limit for a scheduler that dies while it is asked.
    """
    try:
        threads: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=CONNECT_SECONDS)
    except (OSError, AttributeError) as error:  # the latter where the client has just been closed, which leaves it without a scheduler
        raise CancelledError from error
    return max(1, sum(threads.values()))


def _repeated_crash_error(where: str, found: str, do: str) -> MachineError:
    return MachineError(where, found=found, expected="it to finish", do=f"see whether memory ran out; {do}")
