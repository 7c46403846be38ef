"""What a worker does: it makes one entry of the store from the images of one shard.

Results that the store already has of an image are copied, the others are computed in batches. A batch that does not fit into a GPU's
memory is halved; no image is ever left out.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr

from seedbed.errors import MachineError, SeedbedError, join_names
from seedbed.reads import cut_columns, encode, pad
from seedbed.run import executor, fingerprint
from seedbed.run.fingerprint import Code
from seedbed.store.artifact import Artifact
from seedbed.store.entries import Computation, put
from seedbed.store.layout import create_array
from seedbed.store.schemas import SCHEMAS, Columns, Schema
from seedbed.store.store import Store
from seedbed.types import Size

BATCH = 8  # images that a method is given at once

Compute = Callable[..., Iterable[Columns]]  # (method and other inputs, ids of images) -> columns of every image


@dataclass(frozen=True)
class Shard:
    """A run of consecutive images, and what is needed to compute it."""

    name: str  # of its entry
    image_ids: tuple[str, ...]
    sizes: tuple[Size, ...]  # empty if the stage itself finds them out
    keys: tuple[str, ...]
    known: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # key of an image -> the entry that has it, and the position there
    reads: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.image_ids)

    def __str__(self) -> str:
        return f"images {self.image_ids[0]} to {self.image_ids[-1]}"

    def prepare(self, reads: Sequence[Any], known: Mapping[str, tuple[str, int]]) -> Shard:
        """The same shard with its inputs; long lists are reduced to the part that concerns it."""
        own = tuple(one.only(self.image_ids) if hasattr(one, "only") else one for one in reads)
        return replace(self, known={key: known[key] for key in self.keys if key in known}, reads=own)

    def list_missing(self) -> list[str]:
        """Images of a prepared shard of which the store has no result."""
        return [image_id for image_id, key in zip(self.image_ids, self.keys, strict=True) if key not in self.known]


@dataclass(frozen=True)
class Work:
    """What a stage does with every shard. Called in any process."""

    store: Store
    recipe: Computation
    compute: Compute
    extents: Mapping[str, int]
    opened: tuple[Artifact, ...]  # its input artifacts
    code: Code  # of the process that began the run

    def __call__(self, shard: Shard) -> int:
        """Make the entry of a shard. Returns how many of its images were computed."""
        if (here := fingerprint.running(self.code.modules)) != self.code:
            others = list(fingerprint.other_versions(dict(self.code.packages), dict(here.packages)))
            raise MachineError(
                f"process {os.getpid()} on {socket.gethostname()}",
                found=join_names(others) if others else "another version of Seedbed than the one that began this run",
                expected="the same everywhere",
                do="restart the dask workers, if you use any, and run it again",
            )
        rows = self._find_known(shard)
        missing = [place for place, row in enumerate(rows) if row is None]
        if shard.sizes:
            missing.sort(key=shard.sizes.__getitem__)  # so that batches for a network on a GPU have images of one size
        image_ids = [shard.image_ids[place] for place in missing]
        for place, columns in zip(missing, self._compute_columns(image_ids, shard.reads), strict=True):
            rows[place] = self._complete(columns, shard.sizes[place] if shard.sizes else None)
        for artifact in self.opened:
            artifact.check_unchanged()  # DVC may replace it while a run that it left behind goes on
        fingerprint.check_running(self.code)
        with self.store.building(self.recipe, shard.keys, self.extents) as group:
            write_images(group, SCHEMAS[self.store.kind], [row for row in rows if row is not None], extents=self.extents)
        return len(missing)

    def _find_known(self, shard: Shard) -> list[dict[str, Any] | None]:
        """The columns that the store has of every image, or None."""
        entries = {name: self.store.entry(name) for name, _ in shard.known.values()}
        rows: list[dict[str, Any] | None] = []
        for key in shard.keys:
            name, position = shard.known.get(key, ("", 0))
            entry = entries.get(name)
            stored = entry.columns(position) if entry else None
            columns = None if stored is None else cut_columns(SCHEMAS[self.store.kind].arrays, stored)
            if columns is not None and "digest" in columns and columns["digest"] != row_digest(columns):
                columns = None
            if columns is not None:
                executor.step()
            rows.append(columns)
        return rows

    def _compute_columns(self, image_ids: Sequence[str], reads: Sequence[Any]) -> Iterator[Columns]:
        """Compute columns of images, in order."""
        size, done = BATCH, 0
        while done < len(image_ids):
            batch, first, fitted = image_ids[done : done + size], done, True
            try:
                for row in self.compute(*reads, batch):
                    if done - first == len(batch):
                        raise ValueError(f"stage {self.store.stage}: more results than {len(batch)} images")
                    executor.step()
                    done += 1
                    yield row
            except SeedbedError:
                raise
            except Exception as error:
                if not _is_out_of_memory(error):
                    error.add_note(f"stage {self.store.stage}, at image {batch[min(done - first, len(batch) - 1)]}")
                    raise
                fitted = False
            if not fitted:  # outside of the except block, whose error keeps tensors in memory
                if len(batch) == 1:
                    raise MachineError(
                        f"{self.store.stage}, image {batch[0]}",
                        found="a GPU without enough memory for this image alone",
                        expected="memory for one image",
                        do="use a larger GPU, smaller scales, or --device cpu",
                    )
                sys.modules["torch"].cuda.empty_cache()
                size = len(batch) // 2
            elif done - first != len(batch):
                raise ValueError(f"stage {self.store.stage}: {done - first} results for {len(batch)} images")

    def _complete(self, columns: Columns, size: Size | None) -> dict[str, Any]:
        """Columns as they are stored, completed by size, true extents and digest."""
        arrays = SCHEMAS[self.store.kind].arrays
        row = encode(arrays, columns if size is None else {**columns, "size": size})
        for name, spec in arrays.items():
            if spec.extent and name in row:
                extent = np.asarray(row[name].shape[-3:-1] if "channel" in spec.dimensions else row[name].shape[-2:], np.int32)
                if spec.extent in row and not np.array_equal(row[spec.extent], extent):
                    raise ValueError(f"stage {self.store.stage}: {name} of {row[name].shape} where {spec.extent} is {row[spec.extent]}")
                row[spec.extent] = extent
        if "digest" in arrays:
            row["digest"] = np.asarray(row_digest(row), object)
        return row


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # imported only where a network runs
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def row_digest(columns: Columns) -> str:
    """Identity of an image's columns."""
    content = hashlib.sha256()
    for name in sorted(columns):
        if name != "digest":
            value = np.asarray(columns[name])
            content.update(f"{name} {value.dtype} {value.shape} ".encode())
            content.update(str(value).encode() if value.dtype == object else np.ascontiguousarray(value).tobytes())
    return content.hexdigest()


def write_images(group: zarr.Group, schema: Schema, rows: Sequence[Columns], *, extents: Mapping[str, int]) -> None:
    """Write columns of some images into a group, as one shard."""
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"images with other columns than {join_names(sorted(rows[0]))}")
    for name in rows[0]:
        spec = schema.arrays[name]
        values = [row[name] for row in rows]
        if not spec.large:
            put(group, name, spec, np.stack(values))
            continue
        shape = (len(rows), *spec.cells(extents))
        array = create_array(group, name, spec, shape=shape, per_shard=schema.images_per_shard(extents), extents=extents)
        array[...] = pad(spec, values, shape)
