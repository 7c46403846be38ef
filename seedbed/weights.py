"""Weights: into a network from a file, between a network and an artifact, and in checkpoints. Never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from pydantic import model_validator
from torch import Tensor, nn

from seedbed.artifacts import Artifact
from seedbed.errors import WeightsError, listed
from seedbed.methods import LOCATION, parameters

N = TypeVar("N", bound=nn.Module)
HEADS = ("fc.", "head.", "classifier.")  # what a published file holds for its own classes


@parameters
class InitialWeights:
    """Where a backbone's weights come from before training."""

    source: Literal[
        "none", "hub", "file", "pretraining"
    ]  # none: drawn at random; hub: timm's own, downloaded; file: below; pretraining: the stage's
    file: Annotated[str, LOCATION]  # a .safetensors file in timm's names; empty unless source is file
    sha256: str  # its digest, so that the same parameters always mean the same weights; empty unless source is file

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.source != "file" and (self.file or self.sha256):
            raise ValueError("no file and no sha256 unless the source is file")
        return self


def load_file(network: nn.Module, weights: InitialWeights) -> None:
    """Fill a network from a file, by name and shape, whole or not at all."""
    path = Path(weights.file)
    if not path.is_file():
        raise WeightsError(
            weights.file or "initial_weights.file",
            found="no such file",
            expected="initial weights",
            do="correct initial_weights.file in params.yaml",
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != weights.sha256:
        raise WeightsError(
            str(path), found=f"sha256 {digest}", expected=weights.sha256 or "a digest", do="set initial_weights.sha256 to what was found"
        )
    try:
        given = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise WeightsError(str(path), found=str(error), expected="a safetensors file", do="convert the weights") from error
    wanted = network.state_dict()
    given = {name: tensor for name, tensor in given.items() if name in wanted or not name.startswith(HEADS)}
    # A counter that many files leave out, and that changes nothing here.
    given = {**{name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}, **given}
    wrong = [f"{name} {tuple(given[name].shape)}" for name in given if name in wanted and given[name].shape != wanted[name].shape]
    wrong += [f"no {name}" for name in wanted if name not in given] + [f"unknown {name}" for name in given if name not in wanted]
    if wrong:
        raise WeightsError(
            str(path),
            found=f"{len(wrong)} entries that do not fit: {listed(wrong[:5])}",
            expected="this backbone's entries",
            do="correct it",
        )
    network.load_state_dict(given)


def state_of(network: nn.Module) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """A network's state for an artifact."""
    for name, tensor in network.state_dict().items():
        yield name, tensor.detach().cpu().numpy()


def restored(network: N, artifact: Artifact, *, device: str) -> N:
    """A network with the state that an artifact holds, on a device, ready to be used."""
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in artifact.weights().items()})
    except RuntimeError as error:
        raise WeightsError(str(artifact.path), found=str(error), expected="the weights of its method", do="run the stage again") from error
    return network.to(device).eval()


class Checkpoints:
    """The state of a training that is under way, in one file that is replaced as a whole."""

    def __init__(self, file: Path, *, seconds: float) -> None:
        """seconds: the least time between two checkpoints; 0: one after every step."""
        self._file = file
        self._unfinished = file.with_name(f"{file.name}.unfinished")
        self._seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
        """Replace the checkpoint; whoever is killed meanwhile leaves the one before.

        rest: whatever JSON can hold.
        """
        # Copies, because safetensors refuses tensors that share memory, as tied parameters do.
        own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        text = json.dumps(rest)
        content = safetensors.torch.save(own, metadata={"rest": text, "sha256": _digest(own, text)})
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
        try:
            with safetensors.safe_open(self._file, framework="pt") as content:
                about = content.metadata() or {}
                # Copies, because what is mapped from the file is lost with it.
                tensors = {name: content.get_tensor(name).clone() for name in content.keys()}  # noqa: SIM118 (it is no mapping)
        except (OSError, safetensors.SafetensorError):
            about, tensors = {}, {}
        text = about.get("rest", "")
        if about.get("sha256") != _digest(tensors, text):
            print(f"{self._file}: unreadable checkpoint, starting anew", file=sys.stderr, flush=True)
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
