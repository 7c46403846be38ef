"""Where a training runs. No parameter, for it changes nothing but time and the last digits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What a training may use."""

    device: str  # cpu or cuda
    devices: int = 1  # at most so many processes share a batch, each with its own GPU
    readers: int = 1  # threads that read images before they are needed
