"""Distances of the features of neighbouring cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from seedbed.algorithms.cell_pairs import list_offsets
from seedbed.edges.psa import Psa
from seedbed.networks.contracts import PairNetwork
from tests.support.oracles import photograph
from tests.support.toys import LeaningPairs


class Given(PairNetwork):
    """Features that are known, whatever the image."""

    stride = 4

    def __init__(self, features: list[list[float]], radius: int) -> None:
        super().__init__()
        self.features, self.radius = torch.tensor([[features]]), radius

    def forward(self, images_BCYX: Tensor) -> Tensor:
        return self.features


def test_hand_made_features() -> None:
    [found] = Psa().find(Given([[0, 1, 3], [2, 2, 7]], 2), [photograph((6, 11))], device="cpu")
    assert found.distances.tolist() == [  # right, below, below to the left, below to the right; 0 beyond the border
        [[1, 2, 0], [0, 5, 0]],
        [[2, 1, 4], [0, 0, 0]],
        [[0, 1, 1], [0, 0, 0]],
        [[2, 6, 0], [0, 0, 0]],
    ]
    one = {distance: math.exp(-distance) for distance in range(6)}
    expected = [
        [one[1] + one[2], one[1] + one[2] + one[1], one[2] + one[4]],
        [one[2] + one[0], one[1] + one[0] + one[5], one[4] + one[5]],
    ]
    assert np.allclose(found.boundaries, 1 - np.array(expected) / [[2, 3, 2], [2, 3, 2]], atol=1e-6)


def test_a_cell_at_the_end_of_a_row_has_one_beside_it() -> None:
    [found] = Psa().find(Given([[0, 1, 3]], 3), [photograph((2, 11))], device="cpu")
    affinities = np.exp([-1.0, -2.0])
    assert np.allclose(found.boundaries, [[1 - affinities[0], 1 - affinities.mean(), 1 - affinities[1]]], atol=1e-6)
    assert found.distances[[0, 4]].tolist() == [[[1, 2, 0]], [[3, 0, 0]]] and not np.delete(found.distances, [0, 4], axis=0).any()


def test_a_lone_cell_has_no_boundary() -> None:
    [found] = Psa().find(Given([[3]], 5), [photograph((3, 4))], device="cpu")
    assert found.boundaries.tolist() == [[0]] and found.distances.shape == (34, 1, 1) and not found.distances.any()


@pytest.mark.parametrize("size", [(24, 40), (22, 29), (9, 5)])
def test_the_whole_written_down_cell_by_cell(size: tuple[int, int]) -> None:
    network, image = LeaningPairs().eval(), photograph(size)
    [found] = Psa().find(network, [image], device="cpu")
    features = network(torch.from_numpy(image / 255).permute(2, 0, 1)[None].float())[0].double()
    rows, columns = -(-size[0] // 4), -(-size[1] // 4)
    distances, boundaries = np.zeros((12, rows, columns)), np.zeros((rows, columns))
    affinities: dict[tuple[int, int], list[float]] = {}
    for number, y, x in np.ndindex(12, rows, columns):
        down, across = list_offsets(3)[number]
        if y + down < rows and 0 <= x + across < columns:
            distances[number, y, x] = (features[:, y, x] - features[:, y + down, x + across]).abs().mean()
            if down + abs(across) == 1:
                for cell in ((y, x), (y + down, x + across)):
                    affinities.setdefault(cell, []).append(math.exp(-distances[number, y, x]))
    for cell, beside in affinities.items():
        boundaries[cell] = 1 - np.mean(beside)
    assert found.stride == 4 and found.displacement.shape == (2, rows, columns) and not found.displacement.any()
    assert np.allclose(found.distances, distances, atol=1e-6) and np.allclose(found.boundaries, boundaries, atol=1e-6)
    assert {one.dtype for one in (found.boundaries, found.displacement, found.distances)} == {np.dtype(np.float32)}


def test_images_of_several_sizes_keep_their_places() -> None:
    network, images = LeaningPairs().eval(), [photograph((24, 40)), photograph((9, 5)), photograph((24, 40), seed=1)]
    for image, found in zip(images, Psa().find(network, images, device="cpu"), strict=True):
        [alone] = Psa().find(network, [image], device="cpu")
        assert np.array_equal(found.distances, alone.distances) and np.array_equal(found.boundaries, alone.boundaries)


def test_it_reads_the_network() -> None:
    assert Psa().unread == () and not Psa().makes_nothing
