"""How arrays of a zarr group are laid out, and a zarr store in which a missing file is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr
import zarr.codecs
import zarr.errors
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from seedbed.errors import ArtifactError
from seedbed.store.schemas import Array

SMALL_ENTRIES = 65_536  # per chunk and file of an array that is not large


class Recorded(LocalStore):
    """The files of a group. A missing file that is on record is an error, because zarr would read it as padding."""

    def __init__(self, root: Path, files: Mapping[str, Any], *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._files = files

    def with_read_only(self, read_only: bool = False) -> Recorded:
        """The same files."""
        return Recorded(self.root, self._files, read_only=read_only)

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None) -> Buffer | None:
        """A file's content, or a part of it."""
        found = await super().get(key, prototype, byte_range)
        if found is None and key in self._files:
            raise ArtifactError(
                str(self.root), found=f"no {key}, which was there before", expected="an unchanged artifact", do="run `dvc repro` again"
            )
        return found


def create_array(
    group: zarr.Group, name: str, spec: Array, *, shape: Sequence[int], per_shard: int, extents: Mapping[str, int]
) -> zarr.Array[Any]:
    """An empty array.

    per_shard: images in a shard, where the array is large.
    """
    chunks = [*shape]
    shards = None
    if spec.large:
        inner = spec.cells(extents)
        chunks, shards = [1, *((1, *inner[1:]) if spec.apart else inner)], (per_shard, *(max(1, n) for n in inner))
    elif chunks:
        chunks[0] = min(SMALL_ENTRIES, chunks[0])
    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=str if spec.dtype == "str" else spec.dtype,
        chunks=tuple(max(1, n) for n in chunks),
        shards=shards,
        fill_value=spec.fill,
        dimension_names=spec.dimensions,
        compressors=compressor(),
        attributes={"meaning": spec.meaning},
    )


def compressor() -> zarr.codecs.ZstdCodec:
    """The compressor of every chunk. Its checksum turns a flipped bit into an error on reading."""
    return zarr.codecs.ZstdCodec(level=5, checksum=True)
