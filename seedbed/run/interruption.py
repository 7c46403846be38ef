"""Interruptions: Ctrl-C, and SIGTERM, by which `kill` and batch systems ask a program to end.

Our programs end with one line and the usual exit status, whatever they are doing, and leave no process behind. Processes that they start
ignore Ctrl-C, which reaches them too: they end when the program does.
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
GOES_ON = "interrupted; run it again to resume where it was"
POLL_SECONDS = 0.1
STANDARD_ERROR = 2


class Interrupted(KeyboardInterrupt):
    """A signal asked this program to end. A KeyboardInterrupt, so that no library handles it as one of its own errors."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  # the exit status by which shells report a signal


@contextmanager
def heed_signals() -> Iterator[None]:
    """Raise `Interrupted` in the main thread on a signal; a second signal ends the program at once."""

    def interrupt(number: int, _: FrameType | None) -> None:
        if _held is not None:
            _held.append(number)
            return
        for one in before:
            signal.signal(one, _leave)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # else each unfinished task of zarr logs that it was abandoned
        raise Interrupted(number)

    before = dict(_handlers()) if threading.current_thread() is threading.main_thread() else {}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_at_once(*, quiet: bool = False) -> None:
    """On a signal, print a line and end at once: while the program still imports modules, and when it is done.

    quiet: print nothing, because several processes are asked to end and whoever started them says so.
    """
    for number, _ in _handlers():
        signal.signal(number, _leave if quiet else _say_and_leave)


def _handlers() -> Iterator[tuple[signal.Signals, Any]]:
    """Signals with their present handlers, except those that the program was started to ignore, as by `nohup`."""
    for number in SIGNALS:
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None):
            yield number, handler


def _say_and_leave(number: int, frame: FrameType | None) -> None:
    os.write(STANDARD_ERROR, f"{GOES_ON}\n".encode())  # not through sys.stderr, which may be in the middle of a write
    _leave(number, frame)


def _leave(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


# Processes that a program starts.

_held: list[int] | None = None  # deferred signals; None while signals are not deferred


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer signals while a process is started. The process inherits the blocked mask, until it calls `follow_parent`."""
    global _held
    resource_tracker.ensure_running()  # else it would be started within the block, and unblock signals
    # The mask is for the new process. It does not hold back our own signals: another thread may receive them for the main one.
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
    """In a process that was started by ours: ignore Ctrl-C, and end with the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _end_with_parent() -> None:
    """Wait for the parent's end, and then end this process, which would otherwise wait for ever for a killed parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def supervise(launch: Callable[[], None]) -> None:
    """Call a function that starts processes and waits for them. If this program is interrupted meanwhile, they are killed."""
    before = set(multiprocessing.active_children())
    resource_tracker.ensure_running()
    # In a thread of its own, whose blocked mask the processes inherit. The main thread stays free to handle signals.
    with ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, SIGNALS)) as thread:
        launched = thread.submit(launch)
        try:
            launched.result()
        finally:
            while not launched.done():
                for process in set(multiprocessing.active_children()) - before:
                    process.kill()
                wait([launched], POLL_SECONDS)
