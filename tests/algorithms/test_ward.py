"""Ward merging, held against SciPy's and against the definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster import hierarchy

from seedbed.algorithms import ward

Vectors = npt.NDArray[np.float64]


def drawn(count: int, channels: int = 3, *, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((count, channels))


def complete(count: int) -> npt.NDArray[np.int32]:
    """Every two are neighbours."""
    return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int32)


def members(tree: ward.MergeTree) -> list[set[int]]:
    """Vectors of every region, single ones first."""
    found = [{vector} for vector in range(tree.num_vectors)]
    for one, other in tree.children.tolist():
        found.append(found[one] | found[other])
    return found


def squared_error(vectors: Vectors, region: set[int]) -> float:
    inside = vectors[sorted(region)]
    return float(((inside - inside.mean(axis=0)) ** 2).sum())


def transcribed(vectors: Vectors, edges: npt.NDArray[np.int32]) -> list[tuple[set[int], float]]:
    """Merge by merge, with what it adds to the squared error, every pair of neighbours tried each time."""
    regions = [{vector} for vector in range(len(vectors))]
    merges = []
    while len(regions) > 1:
        candidates = []
        for number, one in enumerate(regions):
            for other in regions[:number]:
                if any((a in one and b in other) or (a in other and b in one) for a, b in edges.tolist()):
                    added = squared_error(vectors, one | other) - squared_error(vectors, one) - squared_error(vectors, other)
                    candidates.append((added, one, other))
        cost, one, other = min(candidates, key=lambda found: found[0])
        regions = [region for region in regions if region not in (one, other)] + [one | other]
        merges.append((one | other, cost))
    return merges


@given(st.integers(2, 30), st.integers(0, 1000))
def test_where_all_are_neighbours_it_is_wards_clustering(count: int, seed: int) -> None:
    vectors = drawn(count, seed=seed)
    tree = ward.merge(vectors, complete(count))
    expected = hierarchy.ward(vectors)
    assert np.array_equal(tree.children, np.sort(expected[:, :2], axis=1))
    assert np.allclose(np.sqrt(2 * tree.costs), expected[:, 2])
    assert np.array_equal(tree.sizes, expected[:, 3])
    for regions in {1, 2, count // 2, count} - {0}:
        labels, theirs = tree.cut(regions), hierarchy.fcluster(expected, regions, "maxclust")
        assert len({*zip(labels.tolist(), theirs.tolist(), strict=True)}) == labels.max() + 1 == theirs.max() == regions


@pytest.mark.parametrize("seed", range(4))
def test_on_a_grid_only_neighbours_join_those_first_that_cost_least(seed: int) -> None:
    vectors, edges = drawn(12, seed=seed), ward.link_grid((3, 4))
    tree = ward.merge(vectors, edges)
    expected = transcribed(vectors, edges)
    assert members(tree)[12:] == [region for region, _ in expected]
    assert np.allclose(tree.costs, [cost for _, cost in expected])


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000))
def test_costs_sum_to_the_squared_error_and_each_region_is_merged_once(rows: int, columns: int, seed: int) -> None:
    vectors = drawn(rows * columns, seed=seed)
    tree = ward.merge(vectors, ward.link_grid((rows, columns)))
    assert tree.costs.sum() == pytest.approx(((vectors - vectors.mean(axis=0)) ** 2).sum())
    assert sorted(tree.children.ravel().tolist()) == list(range(2 * (rows * columns - 1)))
    assert tree.sizes.tolist() == [len(region) for region in members(tree)[rows * columns :]]
    for count in range(1, rows * columns + 1):
        assert np.unique(tree.cut(count)).tolist() == list(range(count))


def test_single_precision_gives_the_same_tree_of_well_parted_vectors_and_leaves_them_as_they_are() -> None:
    vectors = drawn(30, 8).astype(np.float32)
    original = vectors.copy()
    tree, exact = (ward.merge(one, ward.link_grid((5, 6))) for one in (vectors, vectors.astype(np.float64)))
    assert np.array_equal(vectors, original)
    assert np.array_equal(tree.children, exact.children)
    assert np.allclose(tree.costs, exact.costs, rtol=1e-5)


def test_costs_may_fall_along_the_way() -> None:
    tree = ward.merge(np.array([[0.0], [10.0], [0.0]]), ward.link_grid((1, 3)))
    assert tree.children.tolist() == [[0, 1], [2, 3]]  # of equal costs the smaller numbers
    assert tree.costs == pytest.approx([50, 50 / 3])


def test_a_tree_is_cut_before_the_first_merge_that_costs_more() -> None:
    tree = ward.merge(np.array([[0.0], [2.0], [10.0], [20.0], [20.0]]), ward.link_grid((1, 5)))
    assert tree.costs == pytest.approx([0, 2, 54, 3 * 2 / (3 + 2) * (20 - 4) ** 2])
    assert [tree.count_within(cost) for cost in (0, 1.9, 2, 53, 55, 1e9)] == [4, 4, 3, 3, 2, 1]
    assert tree.cut(2).tolist() == [0, 0, 0, 1, 1]
    falling = ward.merge(np.array([[0.0], [10.0], [0.0]]), ward.link_grid((1, 3)))
    assert falling.count_within(20) == 3  # although a later merge would cost less


def test_regions_are_numbered_by_their_first_vectors() -> None:
    tree = ward.merge(np.array([[0.0], [1.0], [9.0], [9.1], [0.5]]), complete(5))
    assert tree.cut(2).tolist() == [0, 0, 1, 1, 0]
    assert tree.cut(5).tolist() == [0, 1, 2, 3, 4]
    assert tree.cut(9).tolist() == [0, 1, 2, 3, 4]


def test_what_no_edge_joins_stays_apart() -> None:
    tree = ward.merge(np.zeros((4, 2)), np.array([[0, 2], [1, 3]], np.int32))
    assert len(tree.costs) == 2
    assert tree.cut(1).tolist() == [0, 1, 0, 1]


def test_two_halves_are_parted_by_the_last_merge() -> None:
    halves = np.repeat([[0.0], [1.0]], 15, axis=0).reshape(2, 3, 5).transpose(1, 0, 2).reshape(30, 1)
    tree = ward.merge(halves, ward.link_grid((3, 10)))
    assert tree.cut(2).tolist() == halves[:, 0].astype(int).tolist()
    assert tree.count_within(0) == 2


def test_links_of_a_grid() -> None:
    assert ward.link_grid((2, 3)).tolist() == [[0, 1], [1, 2], [3, 4], [4, 5], [0, 3], [1, 4], [2, 5]]
    assert ward.link_grid((1, 1)).shape == (0, 2)
    assert ward.link_grid((1, 1)).dtype == np.int32


def test_a_tree_of_a_grid_is_kept_as_maps_of_it() -> None:
    vectors = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    tree = ward.merge(vectors, ward.link_grid((3, 4)))
    children, costs = ward.write_on_grid(tree, (3, 4))
    assert children.shape == (2, 3, 4) and costs.shape == (3, 4)
    assert children[:, 2, 3].tolist() == [-1, -1] and costs[2, 3] == 0
    found = ward.read_from_grid(children, costs)
    assert found.num_vectors == 12 and np.array_equal(found.children, tree.children) and np.array_equal(found.costs, tree.costs)
    alone = ward.read_from_grid(*ward.write_on_grid(ward.merge(vectors[:1], ward.link_grid((1, 1))), (1, 1)))
    assert (alone.num_vectors, len(alone.children)) == (1, 0)
