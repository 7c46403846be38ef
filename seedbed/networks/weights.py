"""Weights: into a network from a file, and between a network and an artifact. Nothing of ours is ever a pickle.

What others have published as one is read by torch's reader of weights, which runs nothing that it finds there, and in one place.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import inspect
import io
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import safetensors.torch
import torch
from pydantic import model_validator
from torch import Tensor, nn

from seedbed.algorithms.components import Components
from seedbed.errors import WeightsError, join_names
from seedbed.methods import LOCATION, parameters
from seedbed.store.artifact import Artifact

N = TypeVar("N", bound=nn.Module)
HEADS = ("fc.", "head.", "classifier.", "dino_head.", "ibot_head.")  # what a published file holds for its own task
PICKLED = (".pth", ".pt", ".bin")
WRAPPERS = ("teacher", "state_dict_ema", "model_ema", "state_dict", "model", "module")  # around weights; what is better comes first
PREFIXES = ("_orig_mod.", "module.", "backbone.")  # before the names of a network that was part of another
POSITIONS = "pos_embed"
PATCHES = "patch_embed.proj.weight"
# Harmless, and beside the weights in checkpoints of trainings: a program's options, and numbers of numpy by their old and new names.
BESIDE_WEIGHTS: tuple[Any, ...] = (
    argparse.Namespace,
    *(np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)


@parameters
class InitialWeights:
    """Where a backbone's weights come from before training."""

    source: Literal["none", "hub", "file", "pretraining", "classifier"]  # none: random; hub: timm's; file: below; else that stage's
    file: Annotated[str, LOCATION]  # .safetensors, .pth, .pt or .bin, in timm's names or as published; empty unless source is file
    sha256: str  # its digest, so that the same parameters always mean the same weights; empty unless source is file

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.source != "file" and (self.file or self.sha256):
            raise ValueError("no file and no sha256 unless the source is file")
        return self

    def check_file(self) -> None:
        """Refuse a file that is not there, or is not the one that is meant."""
        if self.source == "file":
            self.content()

    def content(self) -> bytes:
        """Of the file."""
        return _read_pinned(Path(self.file), self.sha256, name="initial_weights", expected="initial weights")


def load_file(network: nn.Module, weights: InitialWeights) -> None:
    """Fill a network from a file, by name and shape, whole or not at all."""
    path = Path(weights.file)
    network.load_state_dict(fit_entries(network, _entries(weights.content(), path), where=str(path)))


def load_components(file: str, sha256: str) -> Components:
    """Principal components from a file that `seedbed components` wrote."""
    path = Path(file)
    entries = _entries(read_pinned_components(file, sha256), path)
    if set(entries) != {"mean", "directions"} or entries["directions"].shape[1:] != entries["mean"].shape:
        raise WeightsError(
            str(path), found=f"the entries {join_names(sorted(entries))}", expected="mean and directions", do="run `seedbed components`"
        )
    return Components(entries["mean"].numpy(), entries["directions"].numpy())


def read_pinned_components(file: str, sha256: str) -> bytes:
    """Content of such a file, refused where it is not there or is not the one that is meant."""
    return _read_pinned(Path(file), sha256, name="components", expected="what `seedbed components` wrote")


def _read_pinned(path: Path, sha256: str, *, name: str, expected: str) -> bytes:
    """Content of a file that is the one that params.yaml means.

    name: of the parameters that name it.
    """
    if not path.is_file():
        where = str(path) if path.name else f"{name}.file"
        raise WeightsError(where, found="no such file", expected=expected, do=f"correct {name}.file in params.yaml")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WeightsError(str(path), found=f"sha256 {digest}", expected=sha256 or "a digest", do=f"set {name}.sha256 to what was found")
    return content


def fit_entries(network: nn.Module, given: Mapping[str, Any], *, where: str) -> dict[str, Tensor]:
    """A network's whole state from what somebody published: unwrapped, without heads, converted to timm's names where it has others.

    where: what it was read from, for messages.
    """
    wanted = network.state_dict()
    # Counters that many files leave out, and that change nothing here.
    counters = {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
    entries = {**counters, **_headless(_unwrap(given, wanted, where), wanted)}
    if _wrong(entries, wanted):
        entries = {**counters, **_headless(_convert(network, entries, where), wanted)}
    if wrong := _wrong(entries, wanted):
        raise WeightsError(
            where,
            found=f"{len(wrong)} entries that do not fit: {join_names(wrong[:5])}",
            expected="this backbone's entries",
            do="correct it",
        )
    return entries


def _entries(content: bytes, path: Path) -> Mapping[str, Any]:
    """What a file holds, by name."""
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise WeightsError(str(path), found=str(error), expected="a safetensors file", do="convert it, or download it again") from error
    if path.suffix not in PICKLED:
        expected = f"a file that ends in .safetensors, {join_names(PICKLED)}"
        raise WeightsError(str(path), found=f"the ending {path.suffix!r}", expected=expected, do="rename it, or convert the weights")
    try:
        with torch.serialization.safe_globals(list(BESIDE_WEIGHTS)):
            held = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")  # noqa: TID251 (weights alone, made by others)
    except Exception as error:  # whatever is wrong with a file, torch has many ways to say it
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                str(path),
                found=f"more than weights: {refused[1]}",
                expected="tensors by name, for nothing else is unpacked",
                do="where you trust it, save its state_dict alone, or as safetensors",
            ) from error
        reason = f"{type(error).__name__} {str(error).partition('. ')[0]}".strip()  # what follows is advice that is none here
        raise WeightsError(str(path), found=f"no weights ({reason})", expected="what torch.save wrote", do="download it again") from error
    if not isinstance(held, Mapping):
        raise WeightsError(str(path), found=f"a {type(held).__name__}", expected="tensors by name", do="save its state_dict")
    return held


def _unwrap(given: Mapping[str, Any], wanted: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors by the names that the network itself has for them."""
    while inner := next((given[name] for name in WRAPPERS if isinstance(given.get(name), Mapping)), None):
        given = inner
    tensors = {str(name): value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            where, found=f"no tensors, but {join_names(map(str, [*given][:5]))}", expected="tensors by name", do="correct it"
        )
    for prefix in PREFIXES:
        stripped = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if len(stripped) == len(tensors) and not any(name.startswith(prefix) for name in wanted):
            tensors = stripped
    return tensors


def _headless(entries: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in entries.items() if name in wanted or not name.startswith(HEADS)}


def _wrong(entries: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Entries that the network does not have or has in another shape, and those that it lacks."""
    shapes = [f"{name} {tuple(value.shape)}" for name, value in entries.items() if name in wanted and value.shape != wanted[name].shape]
    missing = [f"no {name}" for name in wanted if name not in entries]
    return [*shapes, *missing, *(f"unknown {name}" for name in entries if name not in wanted)]


def _convert(network: nn.Module, entries: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Entries as timm renames them for this kind of network.

    It resizes what has another size, and leaves out what a network has no place for. Only of positions is that wanted.
    """
    convert = getattr(inspect.getmodule(type(network)), "checkpoint_filter_fn", None)
    if convert is None:
        return entries
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # timm prints what it leaves out
            converted: dict[str, Tensor] = convert(dict(entries), network)
    except Exception as error:  # it was written for certain files, and falls over any other in its own way
        found = f"entries that timm cannot convert ({type(error).__name__}: {error})"
        raise WeightsError(where, found=found, expected="the weights of this architecture", do="correct one of the two") from error
    resized = _list_resized_entries(entries, converted)
    if PATCHES in resized:
        found = f"patches of another size than {' x '.join(map(str, converted[PATCHES].shape[2:]))} pixels"
        raise WeightsError(where, found=found, expected="the weights of this architecture", do="choose the one of that patch size")
    if resized:
        print(f"{where}: interpolated to this network's size: {join_names(resized)}", file=sys.stderr, flush=True)
    if base := _other_rotation(network, entries):
        found = f"rotary positions of other periods, the longest {base:.4g}"
        raise WeightsError(where, found=found, expected="the weights of this architecture", do="correct one of the two")
    if lost := _lost_biases(entries, converted):
        found = f"{len(lost)} biases that this architecture has no place for: {join_names(lost[:5])}"
        raise WeightsError(where, found=found, expected="none, or zeros", do="choose the architecture with _qkvb in its name")
    return converted


def _list_resized_entries(entries: Mapping[str, Tensor], converted: Mapping[str, Tensor]) -> list[str]:
    """Entries whose values were computed anew, in another number. Those that lie in the memory of others were only cut or renamed."""
    memory = {value.untyped_storage().data_ptr() for value in entries.values()}
    anew = {name: value for name, value in converted.items() if value.untyped_storage().data_ptr() not in memory}
    return [
        name for name, value in anew.items() if name in (PATCHES, POSITIONS) or (name in entries and entries[name].numel() != value.numel())
    ]


def _lost_biases(entries: Mapping[str, Tensor], converted: Mapping[str, Tensor]) -> list[str]:
    """Biases of queries and values that are not zero and have gone; one of keys changes no attention."""
    lost = []
    for name, value in entries.items():
        attention = name.removesuffix("qkv.bias")
        if attention != name and not {name, f"{attention}q_bias", f"{attention}q_proj.bias"} & set(converted):
            queries, _, values = value.chunk(3)
            if queries.any() or values.any():
                lost.append(name)
    return lost


def _other_rotation(network: nn.Module, entries: Mapping[str, Tensor]) -> float:
    """The longest period where those of a file are not what the network computes by itself; else 0."""
    given, own = entries.get("rope_embed.periods"), dict(network.named_buffers()).get("rope.periods")
    if given is None or own is None or (given.shape == own.shape and torch.allclose(given.float(), own.float(), rtol=0.01)):
        return 0.0  # files hold them rounded
    return float(given.flatten()[-1])


def read_state(network: nn.Module) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """A network's state for an artifact."""
    for name, tensor in network.state_dict().items():
        yield name, tensor.detach().cpu().numpy()


def restore(network: N, artifact: Artifact, *, device: str) -> N:
    """A network with the state that an artifact holds, on a device, ready to be used."""
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in artifact.weights().items()})
    except RuntimeError as error:
        raise WeightsError(str(artifact.path), found=str(error), expected="the weights of its method", do="run the stage again") from error
    return network.to(device).eval()
