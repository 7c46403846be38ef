"""Artifacts for tests, made by the code that makes all others: entries in a store, in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.reads import cut_columns
from seedbed.run.fingerprint import running
from seedbed.run.shards import Shard, Work, row_digest
from seedbed.store.artifact import Artifact, MadeBy
from seedbed.store.entries import Computation, Entry, put, put_weights, shard_name
from seedbed.store.schemas import FIXED, SCHEMAS, Columns
from seedbed.store.store import Store


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

    rows: the columns of each, `ids` and `size` among them; nobody has corrected seeds unless they say so.
    whole: arrays that are not made image by image.
    """
    extents = {**FIXED, **(extents or {})}
    common = {"corrected": False} if name == "seeds" else {}
    columns = {str(row["ids"]): {**common, **{column: value for column, value in row.items() if column != "ids"}} for row in rows}

    def compute(images: Sequence[str]) -> Iterator[Columns]:
        return (columns[image] for image in images)

    store = Store(name, folder=folder)
    work = Work(store, Computation(name, "test", [], ""), compute, extents, (), running(()))
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
    with store.building(Computation(name, "test", [], ""), [key], {}) as group:
        put(group, "log", SCHEMAS[name].arrays["log"], [[one] for one in loss])
        put(group, "figures", SCHEMAS[name].arrays["figures"], ["loss"])
        put_weights(group, state.items())
    entries = [one for one in [store.entry(entry)] if one]
    return store.publish(entries, {}, images=0, made_by=made_by or MadeBy(name, "test", {}), extents={})


def columns_of(entry: Entry, position: int) -> dict[str, Any] | None:
    """What an entry of the store has of an image, cut to its true extent; None where it is damaged."""
    stored = entry.columns(position)
    return None if stored is None else dict(cut_columns(SCHEMAS[entry.recipe["kind"]].arrays, stored))
