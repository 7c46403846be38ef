"""`seedbed weights`: writes the weights that a stage has trained to a file for other programs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from seedbed.errors import ArtifactError, WeightsError, join_names
from seedbed.store import files
from seedbed.store.artifact import Artifact, open_artifact
from seedbed.store.schemas import SCHEMAS, find_kind


def open_trained(stage: str) -> Artifact:
    """Open the artifact of a stage that trains."""
    known = [name for name, schema in SCHEMAS.items() if schema.weights]
    if find_kind(stage) not in known:
        raise ArtifactError("seedbed weights", found=repr(stage), expected=f"one of: {join_names(known)}", do="correct it")
    return open_artifact(stage)


def save_state(artifact: Artifact, file: Path) -> str:
    """Write a network's state to a file. Returns its SHA-256."""
    files.check(file)
    state = artifact.weights()
    if not state:
        raise WeightsError(str(artifact.path), found="no weights", expected="weights of a training", do="select a method that trains")
    return save_entries({name: np.ascontiguousarray(value) for name, value in state.items()}, file)


def save_entries(entries: Mapping[str, npt.NDArray[Any]], file: Path) -> str:
    """Write arrays to a safetensors file. Returns its SHA-256."""
    content = safetensors.numpy.save(dict(entries))
    files.write(content, file)
    return hashlib.sha256(content).hexdigest()
