"""An artifact under examination: arrays and images are read from it as far as its damaged files allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from seedbed.errors import ArtifactError, join_names
from seedbed.reads import cut
from seedbed.store.artifact import Artifact
from seedbed.store.schemas import Array

MOST_LISTED = 6  # so many images are listed; of more, the first and the last
GROUP = "zarr.json"  # the group's own metadata
DAMAGED = (ArtifactError, RuntimeError, ValueError, OSError)  # zarr and its codecs have no error type of their own


@dataclass(frozen=True)
class Finding:
    """A problem with an artifact."""

    artifact: str
    where: str  # a file with its shard and images, an image, or a part of the record
    problem: str
    do: str  # how to fix it

    def __str__(self) -> str:
        return " ".join(f"{self.artifact}: {self.where}: {self.problem}".split())


class UnreadableError(Exception):
    """What a check needs is damaged or missing, which is a finding of its own: the check ends without another."""


@dataclass(frozen=True)
class Examined:
    """An artifact of which some files may be damaged."""

    artifact: Artifact
    group: zarr.Group
    damaged: set[str] = field(default_factory=set)  # names of files; the check of the layout adds to it
    _opened: dict[str, zarr.Array[Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return self.artifact.name

    @property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays that it should hold."""
        return self.artifact.schema.arrays

    @cached_property
    def ids(self) -> list[str]:
        """Ids of its images; empty if they cannot be read."""
        try:
            return [str(one) for one in self.values("ids")] if "ids" in self.arrays else []
        except UnreadableError:
            return []

    @cached_property
    def weights(self) -> list[str]:
        """Entries of its network's state."""
        parts = (file.split("/") for file in self.artifact.files)
        return sorted({part[1] for part in parts if part[0] == "weights" and len(part) > 2})

    def array(self, path: str) -> zarr.Array[Any]:
        """Open an array. Its metadata can be read; its values may be damaged."""
        if f"{path}/{GROUP}" in self.damaged:
            raise UnreadableError
        if path not in self._opened:
            if path not in self.group:
                raise UnreadableError
            array = self.group[path]
            assert isinstance(array, zarr.Array)
            self._opened[path] = array
        return self._opened[path]

    def values(self, path: str) -> npt.NDArray[Any]:
        """Read the whole of a small array."""
        if any(file.startswith(f"{path}/") for file in self.damaged):
            raise UnreadableError
        return self.artifact.array(path) if path in self.arrays else np.asarray(self.array(path)[...])

    def entry(self, name: str, row: int) -> npt.NDArray[Any]:
        """Read an image's entry of an array, with its padding."""
        if not self.arrays[name].large:
            return np.asarray(self.values(name)[row])
        array, shard = self.array(name), f"{name}/c/{row // self.per_shard(name)}/"
        if any(file.startswith(shard) for file in self.damaged):
            raise UnreadableError
        return np.asarray(array[row])

    def per_shard(self, name: str) -> int:
        """Images in a shard of an array; 0 if no metadata can be read."""
        for one in (name, *(other for other, spec in self.arrays.items() if spec.large)):  # all large arrays have the same
            with suppress(UnreadableError):
                return int((self.array(one).shards or (0,))[0])
        return 0

    def locate(self, file: str) -> str:
        """Name a file, with the shard and the images that it holds."""
        name, *rest = file.split("/")
        if name not in self.arrays or not self.arrays[name].large or rest[:1] != ["c"] or not rest[1:2] or not rest[1].isdecimal():
            return file
        shard, length = int(rest[1]), self.per_shard(name)
        image_ids = self.ids[shard * length : (shard + 1) * length]
        return f"{file} (shard {shard}: {_write_range(image_ids)})" if image_ids else f"{file} (shard {shard})"


@dataclass(frozen=True)
class Row:
    """One image's row of an artifact."""

    examined: Examined
    image_id: str
    number: int  # of the row
    data: Artifact | None  # the data set, if there is one and it is sound
    read: dict[str, npt.NDArray[Any]] = field(default_factory=dict)  # padded entries that have been read

    def padded(self, name: str) -> npt.NDArray[Any]:
        """The entry of an array as it is stored."""
        if name not in self.read:
            self.read[name] = self.examined.entry(name, self.number)
        return self.read[name]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The entry of an array, cut to its true extent."""
        spec, entry = self.examined.arrays[name], self.padded(name)
        return cut(spec, entry, self.padded(spec.extent)) if spec.extent else entry

    @property
    def known(self) -> Artifact:
        """The data set, if it lists the image."""
        if self.data is None or self.image_id not in self.data:
            raise UnreadableError
        return self.data

    @property
    def classes(self) -> npt.NDArray[np.bool_]:
        """For each class, whether the image contains it according to the data set."""
        return np.asarray(self.known.array("labels")[self.known.row(self.image_id)])

    def name_classes(self, classes: Iterable[Any]) -> str:
        """Names of classes for a message."""
        return join_names(self.known.class_names[int(one)] for one in classes)


def find_non_finite(name: str, values: npt.NDArray[Any]) -> Iterator[str]:
    """Count values that are NaN or infinite.

    name: of the array, if the message should say it.
    """
    count = values.size - int(np.isfinite(values).sum())
    if count:
        yield f"{name}{': ' if name else ''}{count} of {values.size} values are NaN or infinite"


def is_float(dtype: Any) -> bool:
    """Whether a dtype of a schema or of zarr holds floating-point numbers."""
    return dtype != "str" and bool(np.issubdtype(dtype, np.floating))


def _write_range(image_ids: Sequence[str]) -> str:
    return join_names(image_ids) if len(image_ids) <= MOST_LISTED else f"{image_ids[0]} to {image_ids[-1]}, {len(image_ids)} images"
