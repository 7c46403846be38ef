"""Memory that there is not: told in a line, before or after."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from seedbed.learning.footprint import estimate_memory
from seedbed.learning.training import Training
from seedbed.methods import Method
from seedbed.run import memory

TRAINING = Training(seed=0, epochs=1, batch_size=12, micro_batches=3, precision="32-true", clip=0, clip_each=False, averaging=0)


class Hungry(Method):
    """Needs as much as its images have pixels."""

    saves_memory = "let it fast"

    def memory(self, extents: dict[str, int]) -> int:  # type: ignore[override]
        return extents["y"] * extents["x"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [(3500, ""), (3499, "seeds: warning: needs about 3.5 kB of memory, but there are 3.5 kB: let it fast")],
)
def test_more_than_there_is(monkeypatch: pytest.MonkeyPatch, there: int, expected: str) -> None:
    monkeypatch.setattr(memory, "measure_available", lambda device: there)
    assert memory.describe_shortage("seeds", Hungry(), {"y": 50, "x": 70}) == expected


def test_a_method_that_says_nothing_needs_the_shard_that_it_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    extents = {"y": 50, "x": 70, "height_width": 2}
    needed = 2 * (50 * 70 + 2 * 4 + 1)  # labels in bytes, the size, and whether somebody has corrected them
    monkeypatch.setattr(memory, "measure_available", lambda device: needed)
    assert memory.describe_shortage("seeds", Method(), extents) == ""
    monkeypatch.setattr(memory, "measure_available", lambda device: needed - 1)
    assert memory.describe_shortage("seeds", Method(), extents).startswith("seeds: warning: needs about 7.0 kB of memory")
    assert memory.describe_shortage("seeds", Method(), {"y": 50}) == "", "it is not known how large a shard is"


def test_a_container_may_have_less_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMIT", limit)
    machine = memory.measure_available()
    assert machine > 2**28
    limit.write_text("max\n", encoding="ascii")
    assert memory.measure_available() == machine
    limit.write_text("1000000\n", encoding="ascii")
    assert memory.measure_available() == 1_000_000


# --- What a training holds ---


def test_a_training_holds_weights_and_what_its_gradient_needs() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 5, kernel_size=1, bias=False), nn.ReLU(), nn.Conv2d(5, 2, kernel_size=1, bias=False))
    weights, edge = 3 * 5 + 5 * 2, 7
    kept = (3 + 5) * edge**2  # what enters the first, and what leaves ReLU and enters the second
    assert estimate_memory(network, TRAINING, [edge]) == 4 * (3 * weights + kept * 12 // 3)
    assert estimate_memory(network, TRAINING, [edge, 2 * edge]) == 4 * (3 * weights + 5 * kept * 12 // 3)


def test_mixed_precision_keeps_half() -> None:
    with torch.device("meta"):
        network = nn.Conv2d(3, 5, kernel_size=1, bias=False)
    mixed = Training(seed=0, epochs=1, batch_size=12, micro_batches=3, precision="bf16-mixed", clip=0, clip_each=False, averaging=0)
    weights = 4 * 3 * 3 * 5
    assert 2 * (estimate_memory(network, mixed, [7]) - weights) == estimate_memory(network, TRAINING, [7]) - weights


# --- Errors ---


def failure(attempt: str) -> Exception:
    """What is raised where there is no room."""
    try:
        np.empty((2**30, 2**30), np.uint8) if attempt == "numpy" else torch.empty(2**60) if attempt == "torch" else bytearray(2**62)
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError(f"{attempt} found room")


@pytest.mark.parametrize(
    ("attempt", "said"),
    [("numpy", "Unable to allocate 1.00 EiB for an array"), ("torch", "can't allocate memory: you tried to allocate"), ("", "MemoryError")],
)
def test_errors_that_say_so(attempt: str, said: str) -> None:
    error = failure(attempt)
    assert memory.is_out_of_memory(error)
    line = str(memory.out_of_memory_error(error, "cams"))
    assert line.startswith("stage cams: found that memory ran out: ") and said in line
    assert "; expected enough memory for what it computes at once; " in line


def test_errors_of_others() -> None:
    assert memory.is_out_of_memory(
        cv2.error("OpenCV: error: (-4:Insufficient memory) Failed to allocate 9 bytes in function 'OutOfMemoryError'")
    )
    assert not memory.is_out_of_memory(cv2.error("OpenCV: error: (-215:Assertion failed) !ssize.empty() in function 'resize'"))
    assert not memory.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
