"""Artifacts for tests, made by the code that makes all others: entries in a store, in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.artifacts import FIXED, SCHEMAS, Artifact, Columns, MadeBy
from seedbed.fingerprint import running
from seedbed.shards import Shard, Work, row_digest
from seedbed.store import Recipe, Store, put, put_weights, shard_name


def published(
    name: str,
    folder: Path,
    rows: Sequence[Columns] = (),
    *,
    whole: Mapping[str, Any] | None = None,
    extents: Mapping[str, int] | None = None,
    made_by: MadeBy | None = None,
) -> Artifact:
    """The artifact of some images.

    rows: the columns of each, `ids` and `size` among them.
    whole: arrays that are not made image by image.
    """
    extents = {**FIXED, **(extents or {})}
    columns = {str(row["ids"]): {column: value for column, value in row.items() if column != "ids"} for row in rows}

    def compute(images: Sequence[str]) -> Iterator[Columns]:
        return (columns[image] for image in images)

    store = Store(name, folder=folder)
    work = Work(store, Recipe(name, "test", [], ""), compute, extents, (), running(()))
    ids, length = list(columns), SCHEMAS[name].images_per_shard(extents)
    entries = []
    for start in range(0, len(ids), length):
        run = tuple(ids[start : start + length])
        keys = tuple(row_digest({"ids": image, **columns[image]}) for image in run)
        shard = Shard(shard_name(keys, extents), run, (), keys)
        work(shard)
        entries += [entry for entry in [store.entry(shard.name)] if entry]
    made_by = made_by or MadeBy(name, "test", {})
    return store.publish(entries, {"ids": ids, **(whole or {})}, images=len(ids), made_by=made_by, extents=extents)


def published_network(
    name: str,
    folder: Path,
    state: Mapping[str, npt.NDArray[Any]],
    *,
    loss: Sequence[float] = (1.0,),
    made_by: MadeBy | None = None,
) -> Artifact:
    """The artifact of a trained network."""
    store, key = Store(name, folder=folder), row_digest({**state, " loss": np.asarray(loss)})
    entry = shard_name([key], {})
    with store.building(Recipe(name, "test", [], ""), [key], {}) as group:
        put(group, "log", SCHEMAS[name].arrays["log"], [[one] for one in loss])
        put(group, "figures", SCHEMAS[name].arrays["figures"], ["loss"])
        put_weights(group, state.items())
    entries = [one for one in [store.entry(entry)] if one]
    return store.publish(entries, {}, images=0, made_by=made_by or MadeBy(name, "test", {}), extents={})
