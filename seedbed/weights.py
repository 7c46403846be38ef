"""Weights: into a network from a file, and between a network and an artifact. Never a pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from pydantic import model_validator
from torch import nn

from seedbed.artifacts import Artifact
from seedbed.errors import WeightsError, listed
from seedbed.methods import LOCATION, parameters

N = TypeVar("N", bound=nn.Module)
HEADS = ("fc.", "head.", "classifier.")  # what a published file holds for its own classes


@parameters
class InitialWeights:
    """Where a backbone's weights come from before training."""

    source: Literal["none", "hub", "file"]  # none: drawn at random; hub: timm's own, downloaded; file: below
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
