"""Programs of benchmarks, and what they take."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Cost:
    """What a program took, with all that it started."""

    seconds: float
    processors: float  # seconds that they worked, which other programs at the same time hardly change
    peak: int  # bytes in memory of the largest process


def start(command: Sequence[str], *, folder: Path, environment: Mapping[str, str], said: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program without a shell.

    said: takes what it prints; else that is printed here.
    """
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)  # noqa: S603 (commands of benchmarks alone)


def wait(program: subprocess.Popen[bytes]) -> tuple[Cost, int]:
    """Wait until a program ends that was just started. Returns what it took, and its exit status. It does not outlive this call."""
    started = time.monotonic()
    try:
        _, status, used = os.wait4(program.pid, 0)
    except BaseException:
        program.terminate()
        program.wait()
        raise
    program.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024), program.returncode
