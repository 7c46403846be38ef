"""What methods promise that learn affinities, find edges and walk on them: those of one name fit together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed import methods
from seedbed.errors import ParamsError
from seedbed.learning.contract import TrainableMethod
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import InitialWeights
from seedbed.refinement import WalkingMethod
from seedbed.types import cells
from tests.support.learning import samples, trained
from tests.support.oracles import photograph

NAMES = methods.list_available("affinity")
LEARNED = [name for name in NAMES if issubclass(methods.load("affinity", name), TrainableMethod)]
WALKING = [name for name in methods.list_available("refinement") if issubclass(methods.load("refinement", name), WalkingMethod)]
SIZES = [(24, 37), (33, 16), (5, 3)]


def test_what_learns_is_looked_at_and_walked_on_by_methods_of_its_name() -> None:
    assert LEARNED and [name for name in NAMES if name not in LEARNED] == ["none"]
    assert methods.list_available("edges") == NAMES and WALKING == LEARNED


@pytest.mark.parametrize("name", LEARNED)
def test_a_network_gives_edges_of_images_of_any_size(name: str, small_method: Callable[[str, str], Any]) -> None:
    learner, finder = small_method("affinity", name), small_method("edges", name)
    torch.manual_seed(0)
    network = learner.network().eval()
    images = [photograph(size) for size in SIZES]
    found = finder.find(network, images, device="cpu")
    for size, image, one in zip(SIZES, images, found, strict=True):
        grid, [alone] = cells(size, learner.stride), finder.find(network, [image], device="cpu")
        assert one.stride == learner.stride and one.boundaries.shape == grid and one.displacement.shape == (2, *grid)
        assert one.distances.shape == (learner.num_pairs, *grid) and (one.distances >= 0).all()
        assert (one.boundaries >= 0).all() and (one.boundaries <= 1).all()
        for mine, other in ((one.boundaries, alone.boundaries), (one.displacement, alone.displacement), (one.distances, alone.distances)):
            assert np.array_equal(mine, other) and np.isfinite(mine).all()
    extents = learner.extents((33, 37))
    assert extents == {**dict(zip(("map_y", "map_x"), cells((33, 37), learner.stride), strict=True)), "pair": learner.num_pairs}


@pytest.mark.parametrize("name", LEARNED)
def test_the_same_labels_give_the_same_network(name: str, small_method: Callable[[str, str], Any], tmp_path: Path) -> None:
    method = small_method("affinity", name)
    method = dataclasses.replace(method, radius=3, training=dataclasses.replace(method.training, epochs=2.0))
    given = samples(method.maps)
    first, second = (trained(method, partial(method.learner, 0, given=Inherited()), given, tmp_path) for _ in range(2))
    state, again = first.network.state_dict(), second.network.state_dict()
    assert state and all(torch.equal(value, again[entry]) and value.isfinite().all() for entry, value in state.items())
    assert first.log == second.log and not first.network.training


@pytest.mark.parametrize("name", LEARNED)
def test_weights_of_a_stage_that_it_cannot_start_from_are_refused(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("affinity", name)
    method.check()
    weights = InitialWeights(source="pretraining", file="", sha256="")
    other = dataclasses.replace(method, backbone=dataclasses.replace(method.backbone, initial_weights=weights))
    with pytest.raises(ParamsError, match=r"initial_weights.source: found 'pretraining'"):
        other.check()


@pytest.mark.parametrize("name", LEARNED)
def test_what_a_training_holds_grows_with_the_crop(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("affinity", name)
    larger = dataclasses.replace(method, augmentation=dataclasses.replace(method.augmentation, crop=128))
    assert 0 < method.memory({}) < larger.memory({})
