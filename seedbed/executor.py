"""Where per-image work runs: in this process, in a pool of fresh processes, or on a dask cluster. The result is the same.

Work is handed out in runs of images, a bounded number at a time, and comes back in order, so memory stays flat and whoever writes
the results writes the same bytes.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
import threadpoolctl

from seedbed.errors import MachineError

T = TypeVar("T")
RUN_LENGTH = 8  # images that travel together
RUNS_PER_WORKER = 3  # under way or waiting


def mapped(
    compute: Callable[[Sequence[int]], Iterable[T]], rows: Sequence[int], *, workers: int, scheduler: str, single_thread: bool = True
) -> Iterator[T]:
    """What compute makes of every row, in order.

    compute: called with a run of rows, gives one result for each.
    workers: processes; 1 is this one.
    single_thread: whether work in this process is kept to one thread, as it is in all others.
    scheduler: address of a dask scheduler, or empty; it goes before workers.
    """
    runs = [rows[start : start + RUN_LENGTH] for start in range(0, len(rows), RUN_LENGTH)]
    if workers == 1 and not scheduler:
        for run in runs:
            yield from _listed(compute, run) if single_thread else compute(run)
        return
    with _executor(workers, scheduler) as (executor, size), _told_of_death():
        waiting: deque[Future[list[T]]] = deque()
        for run in runs:
            waiting.append(executor.submit(_listed, compute, run))
            if len(waiting) >= size * RUNS_PER_WORKER:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _listed(compute: Callable[[Sequence[int]], Iterable[T]], run: Sequence[int]) -> list[T]:
    """A whole run, as a generator cannot travel.

    With one thread: sums of floating-point numbers depend on how many threads share them, and workers share the processors.
    """
    cv2.setNumThreads(1)
    with threadpoolctl.threadpool_limits(1):
        return list(compute(run))


@contextmanager
def _told_of_death() -> Iterator[None]:
    try:
        yield
    except BrokenExecutor as error:
        raise MachineError(
            "--workers", found="a worker process that died", expected="it to finish", do="see whether memory ran out; use fewer workers"
        ) from error


@contextmanager
def _executor(workers: int, scheduler: str) -> Iterator[tuple[Executor, int]]:
    """An executor and how many workers it has."""
    if not scheduler:
        # Spawned, because processes that are forked after threads were started can hang.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                yield pool, workers
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return
    try:
        import distributed
    except ImportError as error:
        raise MachineError(
            "--scheduler", found=f"no package {error.name}", expected="the extra `cluster`", do="run `pip install seedbed[cluster]`"
        ) from error
    try:
        client = distributed.Client(scheduler, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise MachineError(
            "--scheduler", found=f"nobody at {scheduler}", expected="a dask scheduler", do="start one, or leave it out"
        ) from error
    with client:
        yield client.get_executor(), max(1, len(client.scheduler_info()["workers"]))
