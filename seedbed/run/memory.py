"""Memory: how much is available, whether a stage is known to need more, and whether an error was about it.

Estimates count the largest arrays that must be in memory at once. They lead to warnings, never to errors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rich import filesize

from seedbed.errors import MachineError
from seedbed.methods import Method
from seedbed.store.schemas import SCHEMAS, find_kind

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
# Texts of errors from torch, OpenCV, numpy and C++.
MESSAGES = ("can't allocate memory", "Insufficient memory", "Failed to allocate", "MemoryError", "bad_alloc")


def measure_available(device: str = "cpu") -> int:
    """Bytes of memory that a process can use at most.

    device: cpu, or cuda for a GPU's own memory.
    """
    if device == "cuda":
        import torch  # only stages with a network pay for it

        return int(torch.cuda.get_device_properties(0).total_memory)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = LIMIT.read_text(encoding="ascii").strip() if LIMIT.is_file() else ""
    return min(machine, int(limit)) if limit.isdecimal() else machine


def describe_shortage(stage: str, method: Method, extents: Mapping[str, int], *, device: str = "cpu") -> str:
    """A warning that a stage needs more memory than is available; empty if it is not known to.

    extents: lengths of dimensions by name, including those of its inputs.
    """
    schema, needed, found = SCHEMAS[find_kind(stage)], method.memory(extents), measure_available(device)
    if not schema.weights and {one for array in schema.arrays.values() if array.per_image for one in array.dimensions[1:]} <= set(extents):
        needed = max(needed, 2 * schema.bytes_per_image(extents))  # the result, and the shard that it is written to
    if needed <= found:
        return ""
    sizes = f"about {filesize.decimal(needed)} of memory, but there are {filesize.decimal(found)}"
    return f"{stage}: warning: needs {sizes}: {method.saves_memory}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    return isinstance(error, MemoryError) or any(message in str(error) for message in MESSAGES)


def out_of_memory_error(error: BaseException, stage: str) -> MachineError:
    """The same error in one line for the user."""
    *_, last = str(error).strip().splitlines() or [type(error).__name__]
    return MachineError(
        f"stage {stage}",
        found=f"that memory ran out: {last}",
        expected="enough memory for what it computes at once",
        do="run `seedbed plan`; use fewer --workers, or smaller crops, scales, batches or images",
    )
