"""Checkpoints of a training: one file of tensors and JSON, replaced atomically."""

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
    """The last state of an unfinished training, in one file that is replaced atomically."""

    def __init__(self, file: Path, *, seconds: float) -> None:
        """seconds: the least time between two checkpoints; 0: one after each step."""
        self._file = file
        self._unfinished = file.with_name(f"{file.name}.unfinished")
        self.seconds = seconds
        self._last = time.monotonic()

    @property
    def name(self) -> str:
        """What tells this training from others."""
        return self._file.name

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._last >= self.seconds

    def due_within(self, seconds: float) -> bool:
        """Whether it will be time for the next checkpoint within so many seconds."""
        return time.monotonic() + seconds - self._last >= self.seconds

    def save(self, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
        """Replace the checkpoint. A process that is killed meanwhile leaves the one before.

        rest: what JSON can hold.
        """
        # Copies, because safetensors refuses tensors that share memory, as tied weights do.
        copies = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        text, name = json.dumps(rest), self._file.name
        content = safetensors.torch.save(copies, metadata={"rest": text, "file": name, "sha256": _digest(copies, f"{name}\n{text}")})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._unfinished.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())  # else a loss of power could leave the new name without the content
        self._unfinished.replace(self._file)
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors on the CPU, and the rest; None where there is no checkpoint, or a damaged one."""
        if not self._file.exists():
            return None
        if self._file.is_dir():
            raise WeightsError(str(self._file), found="a folder", expected="a checkpoint, or nothing", do="remove it")
        try:
            with safetensors.safe_open(self._file, framework="pt") as content:
                about = content.metadata() or {}
                # Copies, because mapped tensors are lost with the file.
                tensors = {name: content.get_tensor(name).clone() for name in content.keys()}  # noqa: SIM118 (it is no mapping)
        except (OSError, safetensors.SafetensorError):
            about, tensors = {}, {}
        text, name = about.get("rest", ""), about.get("file", "")
        if about.get("sha256") != _digest(tensors, f"{name}\n{text}"):
            print(f"{self._file}: unreadable checkpoint, starting anew", file=sys.stderr, flush=True)
            return None
        if name != self._file.name:  # the name holds all that a training depends on
            print(f"{self._file}: the checkpoint of another training, starting anew", file=sys.stderr, flush=True)
            return None
        return tensors, json.loads(text)

    def remove(self) -> None:
        """Delete the file, once the training's result is safe."""
        self._file.unlink(missing_ok=True)
        self._unfinished.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Digest of everything in a checkpoint, so that damage is noticed."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
