"""One writer at a time, and folders that replace others as a whole."""

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
    """Hold the lock for writing a stage's artifact. It ends with the process, however that ends.

    wait: for another process that holds it; else raise an error.
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
                        str(file.parent), found=f"{holder}, which is writing", expected="no other writer", do="wait for it, or stop it"
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
    """Rename a finished folder into place. If there is another one, readers see either the old or the new, never half of one."""
    replaced = built.with_name(f"{built.name}-replaced")
    if target.exists():
        target.rename(replaced)
    built.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)
