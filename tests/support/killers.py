"""Work for the tests of the executor, which can travel to other processes; some of it ends the process that it runs in."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import DataError
from seedbed.run import executor

PATIENCE = 60.0  # seconds, on a busy machine, until what must happen has not happened


@dataclass(frozen=True)
class Shard:
    """A task: so many images, and a folder to leave traces in."""

    number: int
    images: int
    folder: Path


class TwoPartsError(Exception):
    """An exception that cannot be read again in another process."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def name(shard: Shard) -> str:
    return f"shard {shard.number}"


def images(shard: Shard) -> int:
    return shard.images


def traces(folder: Path) -> list[tuple[int, int]]:
    """Number and process of every shard, as often as it was begun."""
    started = folder / "started"
    lines = started.read_text().splitlines() if started.exists() else []
    return [(int(number), int(pid)) for number, pid in map(str.split, lines)]


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def squared(shard: Shard) -> int:
    """Leaves a trace when it begins."""
    with (shard.folder / "started").open("a") as file:
        file.write(f"{shard.number} {os.getpid()}\n")
    for _ in range(shard.images):
        executor.step()
    return shard.number**2


def heard(shard: Shard) -> int:
    """Ends only when somebody has heard of its steps."""
    result = squared(shard)
    until((shard.folder / "heard").exists)
    return result


def killed_once(shard: Shard) -> int:
    """Number 2 kills its process after its last image, the first time."""
    result = squared(shard)
    if shard.number == 2 and _first_time(shard):
        _die()
    return result


def killed_when_heard(shard: Shard) -> int:
    """Number 2 kills its process once all its steps were heard of, the first time; the second time it is slow to begin."""
    first = shard.number == 2 and _first_time(shard)
    if not first:
        time.sleep(3 * executor.POLL_SECONDS)
    result = heard(shard)
    if first:
        _die()
    return result


def killed_always(shard: Shard) -> int:
    """Number 2 kills its process whenever it is tried."""
    result = squared(shard)
    if shard.number == 2:
        _die()
    return result


def killed_together(shard: Shard) -> int:
    """Numbers 0 and 1 kill their processes as soon as both are under way. Then: how many are under way at the same time."""
    if shard.number < 2 and _first_time(shard):
        until(lambda: len(list(shard.folder.glob("tried *"))) == 2)
        _die()
    mark = shard.folder / f"running {shard.number}"
    mark.touch()
    time.sleep(0.2)
    running = len(list(shard.folder.glob("running *")))
    mark.unlink()
    return running


def failing(shard: Shard) -> int:
    raise DataError(name(shard), found="no image", expected="one", do="look for it")


def failing_in_two_parts(shard: Shard) -> int:
    raise TwoPartsError(name(shard), "more")


def endless(shard: Shard) -> int:
    """Number 0 ends when all are under way; the others never do by themselves."""
    squared(shard)
    until(lambda: len(traces(shard.folder)) > 1)
    while shard.number:
        time.sleep(0.01)
        executor.step()
    return 0


def stuck(shard: Shard) -> int:
    """Makes no steps and does not end before the tests have lost their patience."""
    result = squared(shard)
    time.sleep(3 * PATIENCE)
    _die()
    return result


def device(shard: Shard) -> str:
    """The GPU that this process may use; number 2 kills it, the first time."""
    squared(shard)
    until(lambda: len(traces(shard.folder)) > 1)  # so that all workers take part
    if shard.number == 2 and _first_time(shard):
        _die()
    return os.environ["CUDA_VISIBLE_DEVICES"]


def threads(shard: Shard) -> tuple[bool, int, int]:
    """Whether PyTorch was there before, and how many threads OpenCV and PyTorch use. Only number 0 imports it, which takes seconds."""
    import cv2

    before = "torch" in sys.modules
    if shard.number:
        return before, cv2.getNumThreads(), 1
    import torch

    with ThreadPoolExecutor(1) as thread:  # what holds for this thread need not hold for others
        return before, cv2.getNumThreads(), max(torch.get_num_threads(), thread.submit(torch.get_num_threads).result())


def wait_for_stuck_workers(folder: str) -> None:
    """A program that never ends."""
    shards = [Shard(number, 1, Path(folder)) for number in range(2)]
    list(executor.run_tasks(stuck, shards, place=executor.Workers(workers=2), name=name, size=images, advance=print))


def import_torch_at_work(folder: str) -> None:
    """A program that says how many threads PyTorch has where it is imported by work in this process, and what the environment is after."""
    shards = [Shard(0, 1, Path(folder))]
    for _, found in executor.run_tasks(threads, shards, place=executor.Workers(), name=name, size=images, advance=print):
        print(found, os.environ["OMP_NUM_THREADS"])


def schedule_until_there_is_work() -> None:
    """A program that is a dask scheduler, says its address, and goes away at the first task."""
    import asyncio  # here, because every worker process imports this module

    import distributed

    async def main() -> None:
        async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            print(scheduler.address, flush=True)
            while not scheduler.tasks:
                await asyncio.sleep(0.05)
            os._exit(0)

    asyncio.run(main())


def _first_time(shard: Shard) -> bool:
    tried = shard.folder / f"tried {shard.number}"
    there = tried.exists()
    tried.touch()
    return not there


def _die() -> None:
    assert multiprocessing.parent_process() is not None, "this would kill the tests"
    os.kill(os.getpid(), signal.SIGKILL)
