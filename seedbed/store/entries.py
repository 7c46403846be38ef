"""Entries of the store: the results of a run of images, or of one training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr

from seedbed.errors import ArtifactError
from seedbed.store.layout import Recorded, compressor, create_array
from seedbed.store.records import digest, record_of, sha256
from seedbed.store.schemas import SCHEMAS, Array


@dataclass(frozen=True)
class Computation:
    """How a stage computes: everything that its results depend on, apart from its inputs."""

    kind: str  # of the artifact that the results are for
    method: str
    parameters: Sequence[Any]  # of every method involved
    code: str  # digest of the modules that compute
    packages: Mapping[str, str] = field(default_factory=dict)  # of others, with which they compute: name -> version
    modules: Sequence[str] = ()  # that compute: what `fingerprint` is asked about for the present code and packages

    @cached_property
    def digest(self) -> str:
        """Identity of the computation."""
        schema = SCHEMAS[self.kind]
        arrays = {name: [one.dimensions, one.dtype, one.extent] for name, one in schema.arrays.items()}
        return digest([self.kind, list(self.parameters), schema.version, self.code, dict(self.packages), arrays])

    def key(self, parts: Sequence[str]) -> str:
        """Identity of a result.

        parts: identities of all its inputs.
        """
        return digest([self.digest, *parts])


@dataclass(frozen=True)
class Entry:
    """Results in the store."""

    path: Path
    recipe: Mapping[str, Any]  # a `Computation`, field by field, and the version of the schema
    keys: tuple[str, ...]  # of its images, in order; or one for a training
    files: Mapping[str, tuple[int, str]]  # size and SHA-256

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read an entry; None if it is missing or damaged, or if its name is not that of its content."""
        entry, _ = cls._read(path)
        return entry

    @classmethod
    def examined(cls, path: Path) -> tuple[Self | None, str]:
        """Read an entry and check its files. The text says what is wrong; it is empty if nothing is."""
        entry, problem = cls._read(path)
        return entry, problem if entry is None else entry.damage()

    @classmethod
    def _read(cls, path: Path) -> tuple[Self | None, str]:
        """An entry, or what is wrong with it."""
        record = record_of(path)
        try:
            files = {name: (int(size), str(sha)) for name, (size, sha) in record["files"].items()}
            entry, name = cls(path, dict(record["recipe"]), tuple(record["keys"]), files), shard_name(record["keys"], record["extents"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None, "its record cannot be read"
        if name != path.name:
            return None, "its name is not that of its content"
        return entry, ""

    @property
    def stage(self) -> str:
        """Whose results they are."""
        return self.path.parent.name

    @cached_property
    def group(self) -> zarr.Group:
        """Its arrays."""
        return zarr.open_group(Recorded(self.path, self.files), mode="r", zarr_format=3)

    def damage(self) -> str:
        """What is wrong with its files; empty if nothing is."""
        for name, (size, expected) in self.files.items():
            file = self.path / name
            if not file.is_file():
                return f"no {name}"
            if file.stat().st_size != size or sha256(file) != expected:
                return f"{name} is not as it was written"
        return ""

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        """Its arrays. Small ones are read whole, because each of their chunks is a file to open."""
        return {name: array if array.shards else np.asarray(array[...]) for name, array in self.group.arrays()}

    def columns(self, position: int) -> dict[str, Any] | None:
        """An image's columns, padded as they are stored; None if they are damaged."""
        try:
            return {name: np.asarray(array[position]) for name, array in self._arrays.items()}
        except (ArtifactError, RuntimeError, ValueError, OSError):
            return None  # zarr and its codecs have no error type of their own for a chunk with a wrong checksum


def shard_name(keys: Sequence[str], extents: Mapping[str, int]) -> str:
    """The name of the entry with these images and this layout."""
    return digest([list(keys), dict(extents)])[:40]


def put(group: zarr.Group, name: str, spec: Array, value: npt.ArrayLike) -> None:
    """Write a small array."""
    data = np.asarray(value, dtype=object if spec.dtype == "str" else spec.dtype)
    array = create_array(group, name, spec, shape=data.shape, per_shard=1, extents={})
    if data.size:
        array[...] = data


def sign(group: zarr.Group, record: Mapping[str, Any]) -> None:
    """Write a group's record, with its digest; `record_of` reads it."""
    group.attrs["seedbed"] = {**record, "digest": digest(record)}


def put_weights(group: zarr.Group, entries: Iterable[tuple[str, npt.NDArray[Any]]]) -> None:
    """Write a network's state."""
    weights = group.create_group("weights")
    for name, value in entries:
        weights.create_array(name, data=value, chunks=value.shape if value.ndim else "auto", compressors=compressor())


def link(entry: Entry, prefix: str, work: Path, new_prefix: str) -> dict[str, tuple[int, str]]:
    """Put files of an entry into an artifact, by hard link or else by copying. Returns their records by name in the artifact."""
    files = {}
    for name, record in entry.files.items():
        if name.startswith(prefix):
            target = work / new_prefix / name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(entry.path / name, target)
            except OSError:  # a file system without hard links
                shutil.copyfile(entry.path / name, target)
            if target.stat().st_size != record[0]:
                raise ArtifactError(str(entry.path), found=f"{name} of another length", expected="as it was written", do="run it again")
            files[new_prefix + name.removeprefix(prefix)] = record
    return files
