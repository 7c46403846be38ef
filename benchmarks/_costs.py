"""What a program takes."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a program took, with all that it started."""

    seconds: float
    processors: float  # seconds that they worked, which other programs at the same time hardly change
    peak: int  # bytes in memory of the largest process


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
