"""Memory: how much there is, whether some work is known to need more, and whether that was what an error was about.

An estimate is of what the work cannot do without: the largest things that it holds at once. It is said, and stops nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rich import filesize

from seedbed.errors import MachineError
from seedbed.methods import Method
from seedbed.store.schemas import SCHEMAS

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
SAID = ("can't allocate memory", "Insufficient memory", "Failed to allocate", "MemoryError", "bad_alloc")  # by torch, OpenCV, numpy, C++


def measure_available(device: str = "cpu") -> int:
    """Bytes of memory that a process may use at most.

    device: cpu, or cuda for that of a GPU.
    """
    if device == "cuda":
        import torch  # only stages with a network pay for it

        return int(torch.cuda.get_device_properties(0).total_memory)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = LIMIT.read_text(encoding="ascii").strip() if LIMIT.is_file() else ""
    return min(machine, int(limit)) if limit.isdecimal() else machine


def describe_shortage(stage: str, method: Method, extents: Mapping[str, int], *, kind: str = "", device: str = "cpu") -> str:
    """That a stage needs more memory than there is; empty where it is not known to.

    extents: lengths of dimensions by name, those of what the stage reads among them.
    kind: of its artifact, where that is not the stage's name.
    """
    schema, needed, found = SCHEMAS[kind or stage], method.memory(extents), measure_available(device)
    if not schema.weights and {one for array in schema.arrays.values() if array.per_image for one in array.dimensions[1:]} <= set(extents):
        needed = max(needed, 2 * schema.bytes_per_image(extents))  # what was computed, and the shard that it goes into
    if needed <= found:
        return ""
    sizes = f"about {filesize.decimal(needed)} of memory, and there are {filesize.decimal(found)}"
    return f"{stage}: warning: needs {sizes}: {method.saves_memory}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left."""
    return isinstance(error, MemoryError) or any(said in str(error) for said in SAID)


def out_of_memory_error(error: BaseException, stage: str) -> MachineError:
    """The same in one line."""
    *_, last = str(error).strip().splitlines() or [type(error).__name__]
    return MachineError(
        f"stage {stage}",
        found=f"no more memory: {last}",
        expected="room for what it computes at once",
        do="run `seedbed plan`; use fewer --workers, or let crops, scales, batches or images be smaller",
    )
