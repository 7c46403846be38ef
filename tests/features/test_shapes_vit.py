"""The weights that come with the code: they are what docs/weights.md says, and have learned something."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.grouping import accuracy, at, describe
from benchmarks.world import World
from seedbed.dataset.shapes import Shapes
from seedbed.features.vit import Vit
from seedbed.networks.patch_vectors import Reduction
from seedbed.networks.weights import InitialWeights

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "data" / "weights" / "shapes_vit.safetensors"
NONE = InitialWeights(source="none", file="", sha256="")


def vit(weights: InitialWeights) -> Vit:
    reduction = Reduction(count=0, fit="image", file="", sha256="")
    return Vit(architecture="test_vit", patch_size=4, initial_weights=weights, what="keys", block=1, centred=True, components=reduction)


def test_committed_weights_group_better_than_drawn_ones(tmp_path: Path) -> None:
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert digest in (PROJECT / "docs" / "weights.md").read_text(encoding="utf-8")
    world = World.read(tmp_path, Shapes(num_train=1, num_val=6, seed=3, min_side=96, max_side=112))
    entries = world.split("val")
    images, truths = [world.pictures[entry.id] for entry in entries], [world.truth(entry) for entry in entries]
    compared = [vit(weights) for weights in (NONE, InitialWeights(source="file", file=str(FILE), sha256=digest))]
    found = [accuracy(describe(method, images), images, truths)["dino"] for method in compared]
    drawn, learned = (np.mean([at(one[:, 0], one[:, 1], count) for count in (8, 16)]) for one in found)
    assert learned > drawn + 0.02
