"""Interruptions: Ctrl-C, and SIGTERM, with which `kill` and batch systems ask a program to end.

A program of ours ends with one line and the usual exit status, whatever it was doing, and leaves no process behind. The processes that
it starts heed no Ctrl-C, which reaches them too: the program answers to it, and they end with the program.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GOES_ON = "interrupted; run it again: it goes on where it was"
POLL_SECONDS = 0.1
STANDARD_ERROR = 2


class Interrupted(KeyboardInterrupt):
    """Somebody wants this program to end. A KeyboardInterrupt, so that no library takes it for an error of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  # what a shell says of a program that ended so


@contextmanager
def heed_signals() -> Iterator[None]:
    """Raise `Interrupted` in the main thread when somebody wants this program to end; who asks twice is not kept waiting."""

    def interrupt(number: int, _: FrameType | None) -> None:
        if _held is not None:
            _held.append(number)
            return
        for one in before:
            signal.signal(one, _leave)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what zarr was doing meanwhile would each say that it was left
        raise Interrupted(number)

    before = dict(_handlers()) if threading.current_thread() is threading.main_thread() else {}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_at_once() -> None:
    """Let this program end with a line when somebody wants that: while it imports what it needs, and when it is done."""
    for number, _ in _handlers():
        signal.signal(number, _say_and_leave)


def _handlers() -> Iterator[tuple[signal.Signals, Any]]:
    """What is done at present where somebody wants this program to end; left out is what it was started to ignore, as by `nohup`."""
    for number in SIGNALS:
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None):
            yield number, handler


def _say_and_leave(number: int, frame: FrameType | None) -> None:
    os.write(STANDARD_ERROR, f"{GOES_ON}\n".encode())  # no stream, which may just be writing
    _leave(number, frame)


def _leave(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


# Processes that a program starts.

_held: list[int] | None = None  # signals that wait, where they have to


@contextmanager
def defer_signals() -> Iterator[None]:
    """Let signals wait for a moment in which a process is started. It begins without heeding them, until it follows its parent."""
    global _held
    resource_tracker.ensure_running()  # which would be started on the way, and let signals through again
    # The mask is what the process takes over. It does not keep signals from us: another thread may receive them for the main one.
    _held = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        held, _held = _held, None
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in held[:1]:
            signal.raise_signal(number)


def follow_parent() -> None:
    """What a process does first that was started by another: it heeds no Ctrl-C, and ends with its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _end_with_parent() -> None:
    """Whoever has a parent that was killed would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def supervise(launch: Callable[[], None]) -> None:
    """Let something start processes and wait for them. When this program is interrupted meanwhile, they are killed."""
    before = set(multiprocessing.active_children())
    resource_tracker.ensure_running()
    # In a thread of its own, whose mask the processes take over. The main thread is free to hear signals.
    with ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, SIGNALS)) as thread:
        launched = thread.submit(launch)
        try:
            launched.result()
        finally:
            while not launched.done():
                for process in set(multiprocessing.active_children()) - before:
                    process.kill()
                wait([launched], POLL_SECONDS)
