"""The machine that a stage runs on. It is not a parameter, because it changes only the time and the last digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.run.launch import Launch


@dataclass(frozen=True)
class Place:
    """Where a method works on images."""

    device: str  # cpu or cuda

    def key(self, image_id: str) -> str:
        """Identity of what a result follows from, which no device is."""
        return ""

    def group(self, image_ids: Sequence[str]) -> list[Sequence[str]]:
        """What is worked on at once: on a CPU single images, which need less memory; on a GPU all of them."""
        return [image_ids] if self.device != "cpu" else [[one] for one in image_ids]


@dataclass(frozen=True)
class Machine:
    """What a training may use."""

    device: str  # cpu or cuda
    devices: int = 1  # processes that share a batch, at most; each has its own GPU
    readers: int = 1  # threads that read images ahead
    launch: Launch | None = None  # the processes that share a batch, where they were started from outside
