"""The state of a training that is under way, in one file that is replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor

from seedbed.errors import WeightsError


class Checkpoints:
    """The state of a training that is under way, in one file that is replaced as a whole."""

    def __init__(self, file: Path, *, seconds: float) -> None:
        """seconds: the least time between two checkpoints; 0: one after every step."""
        self._file = file
        self._unfinished = file.with_name(f"{file.name}.unfinished")
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() - self._last >= self.seconds

    def due_within(self, seconds: float) -> bool:
        """Whether it will be time for the next within so many seconds."""
        return time.monotonic() + seconds - self._last >= self.seconds

    def save(self, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
        """Replace the checkpoint; whoever is killed meanwhile leaves the one before.

        rest: whatever JSON can hold.
        """
        # Copies, because safetensors refuses tensors that share memory, as tied parameters do.
        own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        text, name = json.dumps(rest), self._file.name
        content = safetensors.torch.save(own, metadata={"rest": text, "file": name, "sha256": _digest(own, f"{name}\n{text}")})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._unfinished.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())  # or a machine that loses power may keep the new name without its content
        self._unfinished.replace(self._file)
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors on the CPU and the rest; None where there is no checkpoint, or none that can be read whole."""
        if not self._file.exists():
            return None
        if self._file.is_dir():
            raise WeightsError(str(self._file), found="a folder", expected="a checkpoint, or nothing", do="remove it")
        try:
            with safetensors.safe_open(self._file, framework="pt") as content:
                about = content.metadata() or {}
                # Copies, because what is mapped from the file is lost with it.
                tensors = {name: content.get_tensor(name).clone() for name in content.keys()}  # noqa: SIM118 (it is no mapping)
        except (OSError, safetensors.SafetensorError):
            about, tensors = {}, {}
        text, name = about.get("rest", ""), about.get("file", "")
        if about.get("sha256") != _digest(tensors, f"{name}\n{text}"):
            print(f"{self._file}: unreadable checkpoint, starting anew", file=sys.stderr, flush=True)
            return None
        if name != self._file.name:  # which says all that a training depends on
            print(f"{self._file}: the checkpoint of another training, starting anew", file=sys.stderr, flush=True)
            return None
        return tensors, json.loads(text)

    def remove(self) -> None:
        """Leave nothing behind, once the training's result is safe."""
        self._file.unlink(missing_ok=True)
        self._unfinished.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Of everything in a checkpoint, so that no bit of it changes unseen."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
