"""How long stages take here, as fast as the last time."""

from __future__ import annotations

from seedbed.errors import ArtifactError
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.schemas import SCHEMAS, find_kind
from seedbed.store.store import Store


def open_published(stage: str) -> Artifact | None:
    """The artifact that a stage has left, if there is one that can be read."""
    try:
        return open_artifact(stage)
    except ArtifactError:
        return None


def count_images(stage: str) -> int | None:
    """Of how many images a stage computes something; None where it trains, and where nobody knows yet."""
    if SCHEMAS[find_kind(stage)].weights:
        return None
    made, data = open_published(stage), open_published("dataset")
    if made is not None and (data is None or made.made_by.inputs.get("dataset", data.digest) == data.digest):
        return len(made.ids)
    return None if data is None else len(data.usable)


def estimate_seconds(stage: str, images: int | None) -> float | None:
    """Time to compute everything of a stage anew; None where it has not run here."""
    speeds = Store(stage).speeds()
    if not speeds:
        return None
    last = speeds[-1]
    return float(last["seconds"] * (1 if images is None else images / last["computed"]))
