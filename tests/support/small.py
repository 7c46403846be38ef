"""Parameters that make every method fast, whatever the project's say."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

SMALL = {
    "network": "test_resnet",
    "architecture": "test_vit",
    "patch_size": 16,
    "edge": 16,
    "side": 32,
    "prototypes": 8,
    "frozen_norms": "none",
    "frozen_stages": 0,
    "scales": [1],
    "components": {"count": 0, "fit": "image", "file": "", "sha256": ""},
    "initial_weights": {"source": "none", "file": "", "sha256": ""},
    "crop": 32,
    "radius": 3,
    "kernel": 3,
    "epochs": 0.5,
    "batch_size": 2,
    "micro_batches": 1,
    "precision": "32-true",
    "iterations": 1,
    "preset": "own",
    "num_train": 3,
    "num_val": 2,
    "min_side": 64,
    "max_side": 72,
}


def shrunk(content: Any) -> Any:
    """Parameters with every number that costs time made small, however deep it lies."""
    if not isinstance(content, Mapping):
        return content
    return {key: copy.deepcopy(SMALL[key]) if key in SMALL else shrunk(value) for key, value in content.items()}
