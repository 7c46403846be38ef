"""Measuring two or more ways of doing the same work, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 5


def medians(ways: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of every way, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for counted in (False, *[True] * rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if counted:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def report(title: str, seconds: Mapping[str, float], *, base: str) -> None:
    """Print every way's ratio to one of them."""
    print(title)
    for name, one in seconds.items():
        print(f"  {name:42} {one * 1000:9.1f} ms   {one / seconds[base]:6.2f} x {base}")
