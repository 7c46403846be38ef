"""Weights: from a file into a network, and between a network and an artifact.

Published files may be pickles. They are read here and nowhere else, with `weights_only=True`, which runs no code from the file; Seedbed
itself never writes a pickle.
"""

from __future__ import annotations

import argparse
import contextlib
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

from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.errors import WeightsError, join_names
from seedbed.methods import LOCATION, parameters
from seedbed.networks.pinned_files import check_unused, read_pinned
from seedbed.store.artifact import Artifact

N = TypeVar("N", bound=nn.Module)
HEADS = (
    "fc.",
    "fc8.",
    "head.",
    "pre_logits.",
    "classifier.",
    "dino_head.",
    "ibot_head.",
)  # entries for the task of a published network
PICKLED = (".pth", ".pt", ".bin")
WRAPPERS = ("teacher", "state_dict_ema", "model_ema", "state_dict", "model", "module")  # keys of a checkpoint that hold weights, best first
PREFIXES = ("_orig_mod.", "module.", "backbone.")  # of entries of a network that was part of a larger one
POSITIONS = "pos_embed"
PATCHES = "patch_embed.proj.weight"
# Harmless types that checkpoints hold beside weights: a program's options, and numpy's numbers under their old and new names.
BESIDE_WEIGHTS: tuple[Any, ...] = (
    argparse.Namespace,
    *(np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)


@parameters
class InitialWeights:
    """Where a backbone's weights come from before training."""

    source: Literal["none", "hub", "file", "pretraining", "classifier"]  # none: random; hub: timm's; file: see there; else: that stage's
    file: Annotated[str, LOCATION]  # .safetensors, .pth, .pt or .bin, with timm's or the published names; empty unless source is file
    sha256: str  # of the file, so that the same parameters always mean the same weights; empty unless source is file

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        if self.source != "file":
            check_unused(file=self.file, sha256=self.sha256, setting="source")
        return self

    def check_file(self) -> None:
        """Refuse a file that is missing, or has another digest."""
        if self.source == "file":
            self.read()

    def read(self) -> bytes:
        """Content of the file."""
        return read_pinned(self.file, self.sha256, block="initial_weights", expected="initial weights")


def load_file(network: nn.Module, weights: InitialWeights) -> None:
    """Load a network's whole state from a file; entries are matched by name and shape."""
    path = Path(weights.file)
    network.load_state_dict(fit_entries(network, _parse_entries(weights.read(), path), where=str(path)))


def load_components(file: str, sha256: str) -> PrincipalComponents:
    """Principal components from a file that `seedbed components` wrote."""
    path = Path(file)
    content = read_pinned(file, sha256, block="components", expected="what `seedbed components` wrote")
    entries = _parse_entries(content, path)
    if set(entries) != {"mean", "directions"} or entries["directions"].shape[1:] != entries["mean"].shape:
        raise WeightsError(
            str(path), found=f"the entries {join_names(sorted(entries))}", expected="mean and directions", do="run `seedbed components`"
        )
    return PrincipalComponents(entries["mean"].numpy(), entries["directions"].numpy())


def fit_entries(network: nn.Module, given: Mapping[str, Any], *, where: str) -> dict[str, Tensor]:
    """A network's whole state from published weights: unwrapped, without heads, renamed to timm's names where necessary.

    where: the source, for messages.
    """
    wanted = network.state_dict()
    # Many files leave these counters out, and nothing here uses them.
    counters = {name: value for name, value in wanted.items() if name.endswith("num_batches_tracked")}
    entries = {**counters, **_remove_heads(_unwrap(given, wanted, where), wanted)}
    if _list_misfits(entries, wanted):
        entries = {**counters, **_remove_heads(_convert(network, entries, where), wanted)}
    if misfits := _list_misfits(entries, wanted):
        raise WeightsError(
            where,
            found=f"{len(misfits)} entries that do not fit: {join_names(misfits[:5])}",
            expected="this backbone's entries",
            do="name the weights of this backbone, or the backbone of these weights",
        )
    return entries


def _parse_entries(content: bytes, path: Path) -> Mapping[str, Any]:
    """The entries of a file of weights, by name."""
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
    except Exception as error:  # torch raises many types of errors for damaged files
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                str(path),
                found=f"a pickle that holds more than weights: {refused[1]}",
                expected="tensors by name, because nothing else is unpickled",
                do="if you trust the file, save its state_dict alone, or as safetensors",
            ) from error
        reason = f"{type(error).__name__} {str(error).partition('. ')[0]}".strip()  # torch's advice after that does not apply here
        raise WeightsError(str(path), found=f"no weights ({reason})", expected="a file from torch.save", do="download it again") from error
    if not isinstance(held, Mapping):
        raise WeightsError(str(path), found=f"a {type(held).__name__}", expected="tensors by name", do="save its state_dict")
    return held


def _unwrap(given: Mapping[str, Any], wanted: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint, without wrappers around them and prefixes before their names."""
    while inner := next((given[name] for name in WRAPPERS if isinstance(given.get(name), Mapping)), None):
        given = inner
    tensors = {str(name): value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            where,
            found=f"no tensors, but {join_names(map(str, [*given][:5]))}",
            expected="tensors by name",
            do="name a file that holds a network's state_dict",
        )
    for prefix in PREFIXES:
        stripped = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if len(stripped) == len(tensors) and not any(name.startswith(prefix) for name in wanted):
            tensors = stripped
    return tensors


def _remove_heads(entries: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in entries.items() if name in wanted or not name.startswith(HEADS)}


def _list_misfits(entries: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Entries with another shape than the network's, missing entries, and entries that the network does not have."""
    shapes = [f"{name} {tuple(value.shape)}" for name, value in entries.items() if name in wanted and value.shape != wanted[name].shape]
    missing = [f"no {name}" for name in wanted if name not in entries]
    return [*shapes, *missing, *(f"unknown {name}" for name in entries if name not in wanted)]


def _convert(network: nn.Module, entries: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Entries under timm's names for this kind of network.

    timm also resizes entries of another size, and drops those that the network has no place for. Only resized positions are accepted.
    """
    convert = getattr(inspect.getmodule(type(network)), "checkpoint_filter_fn", None)
    if convert is None:
        return entries
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # timm prints what it drops
            converted: dict[str, Tensor] = convert(dict(entries), network)
    except Exception as error:  # timm expects certain files, and fails in many ways on others
        found = f"entries that timm cannot convert ({type(error).__name__}: {error})"
        raise WeightsError(where, found=found, expected="the weights of this architecture", do="change one of the two") from error
    resized = _list_resized_entries(entries, converted)
    if PATCHES in resized:
        found = f"patches of another size than {' x '.join(map(str, converted[PATCHES].shape[2:]))} pixels"
        raise WeightsError(
            where, found=found, expected="the weights of this architecture", do="choose the architecture with that patch size"
        )
    if resized:
        print(f"{where}: interpolated to this network's size: {join_names(resized)}", file=sys.stderr, flush=True)
    if longest := _find_other_period(network, entries):
        found = f"rotary positions with other periods, the longest {longest:.4g}"
        raise WeightsError(where, found=found, expected="the weights of this architecture", do="change one of the two")
    if lost := _list_lost_biases(entries, converted):
        found = f"{len(lost)} biases that this architecture has no place for: {join_names(lost[:5])}"
        raise WeightsError(where, found=found, expected="none, or zeros", do="choose the architecture with _qkvb in its name")
    return converted


def _list_resized_entries(entries: Mapping[str, Tensor], converted: Mapping[str, Tensor]) -> list[str]:
    """Entries that timm has interpolated. Tensors that share memory with the originals were only sliced or renamed."""
    memory = {value.untyped_storage().data_ptr() for value in entries.values()}
    computed = {name: value for name, value in converted.items() if value.untyped_storage().data_ptr() not in memory}
    return [
        name
        for name, value in computed.items()
        if name in (PATCHES, POSITIONS) or (name in entries and entries[name].numel() != value.numel())
    ]


def _list_lost_biases(entries: Mapping[str, Tensor], converted: Mapping[str, Tensor]) -> list[str]:
    """Non-zero biases of queries and values that timm has dropped. A bias of keys would change no attention."""
    lost = []
    for name, value in entries.items():
        attention = name.removesuffix("qkv.bias")
        if attention != name and not {name, f"{attention}q_bias", f"{attention}q_proj.bias"} & set(converted):
            queries, _, values = value.chunk(3)
            if queries.any() or values.any():
                lost.append(name)
    return lost


def _find_other_period(network: nn.Module, entries: Mapping[str, Tensor]) -> float:
    """The longest rotary period of a file, if its periods differ from those that the network computes; else 0."""
    given, own = entries.get("rope_embed.periods"), dict(network.named_buffers()).get("rope.periods")
    if given is None or own is None or (given.shape == own.shape and torch.allclose(given.float(), own.float(), rtol=0.01)):
        return 0.0  # the tolerance is for files, which hold rounded periods
    return float(given.flatten()[-1])


def read_state(network: nn.Module) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """A network's state as arrays, by name."""
    for name, tensor in network.state_dict().items():
        yield name, tensor.detach().cpu().numpy()


def restore(network: N, artifact: Artifact, *, device: str) -> N:
    """Load an artifact's state into a network, and return it on the device in evaluation mode."""
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in artifact.weights().items()})
    except RuntimeError as error:
        raise WeightsError(str(artifact.path), found=str(error), expected="the weights of its method", do="run the stage again") from error
    return network.to(device).eval()
