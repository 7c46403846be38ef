"""One writer at a time, and folders that take the place of others as a whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedbed.errors import ArtifactError

SECONDS_BETWEEN_TRIES = 0.2


@contextmanager
def hold_lock(file: Path, *, stage: str, wait: bool) -> Iterator[None]:
    """Be the only one that writes a stage's artifact. The lock goes with its process, however that ends.

    wait: for whoever holds it, else refuse.
    """
    with file.open("a+", encoding="utf-8", errors="replace") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                if not wait:
                    raise ArtifactError(
                        str(file.parent), found=f"{holder}, which is writing", expected="nobody", do="wait for it, or end it"
                    ) from error
                if not said:
                    print(f"{stage}: waiting for {holder}, which is writing data/{stage}.zarr", file=sys.stderr, flush=True)
                    said = True
                time.sleep(SECONDS_BETWEEN_TRIES)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        lock.flush()
        yield


def put_in_place(built: Path, target: Path) -> None:
    """Let a folder that was built aside take the place of another, if there is one: whoever looks finds either, never half of one."""
    replaced = built.with_name(f"{built.name}-replaced")
    if target.exists():
        target.rename(replaced)
    built.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)
