"""What every clicker promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedbed import methods
from seedbed.algorithms import ward
from seedbed.algorithms.clicks import ClickTree
from seedbed.learning.tree_samples import TreeSample
from seedbed.merge_trees import Trees
from seedbed.networks.contracts import Inherited
from seedbed.networks.weights import restore
from seedbed.types import Alignment
from tests.support.learning import interrupted_halfway, published, trained

NAMES = methods.list_available("clicker")


@pytest.fixture
def samples() -> Sequence[TreeSample]:
    """Images of several sizes, the last with a tree of one patch."""
    random, made = np.random.default_rng(0), []
    for number in range(3):
        size, grid = (36 + 2 * number, 52), (9 + (number + 1) // 2, 13)
        vectors = random.standard_normal((grid[0] * grid[1], 3)).astype(np.float32)
        tree = ward.merge(vectors, ward.link_grid(grid))
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        made.append(TreeSample(image, ClickTree.on_pixels(tree, grid, 4, Alignment.PADDED, size)))
    alone = random.integers(0, 256, (33, 40, 3), dtype=np.uint8)
    return [*made, TreeSample(alone, Trees(None).of("", (33, 40)))]


@pytest.mark.parametrize("name", NAMES)
def test_there_is_an_answer_for_every_pixel(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("clicker", name)
    network, edge = method.network().eval(), method.patch_size
    images = torch.rand(2, 3, 2 * edge, 3 * edge)
    clicks = torch.tensor([[[[3.0, 5.0]], [[-1.0, -1.0]]], [[[1.0, 1.0]], [[2.0, 9.0]]]])
    answers = network(images, torch.rand(2, 1, 2 * edge, 3 * edge), clicks)
    assert answers.shape == (2, 1, 2 * edge, 3 * edge) and answers.isfinite().all()


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_was_interrupted_comes_to_the_same_network(
    name: str, micro_batches: int, samples: Sequence[TreeSample], small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("clicker", name)
    method = dataclasses.replace(method, training=dataclasses.replace(method.training, epochs=2.0, micro_batches=micro_batches))
    whole, resumed = interrupted_halfway(method, samples, tmp_path)
    assert len(whole.losses) == 4 and resumed.log == whole.log and not whole.network.training
    states = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, states[1][entry]) for entry, value in states[0].items())
    assert all(value.isfinite().all() for value in states[0].values())


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_network_comes_back_from_its_artifact_exactly(
    name: str, samples: Sequence[TreeSample], small_method: Callable[[str, str], Any], tmp_path: Path
) -> None:
    method = small_method("clicker", name)
    left = trained(method, partial(method.learner, 0, given=Inherited()), samples, tmp_path)
    again = restore(method.network(), published("clicker", left.network, tmp_path), device="cpu")
    state = again.state_dict()
    assert all(torch.equal(value, state[entry]) for entry, value in left.network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_as_it_lies_in_the_memory_of_a_gpu_it_learns_the_same(
    name: str, samples: Sequence[TreeSample], small_method: Callable[[str, str], Any]
) -> None:
    method = small_method("clicker", name)
    views = [method.view(one, np.random.default_rng(number)) for number, one in enumerate(samples[:2])]
    batch = method.sampling.gather(views).to(torch.device("cpu"))
    learner = method.learner(0, given=Inherited()).train()
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        learner.to(memory_format=layout)
        torch.manual_seed(1)
        found.append({term: float(one.detach()) for term, one in learner(batch, 0.0).items()})
    assert found[1] == pytest.approx(found[0], rel=1e-4)
