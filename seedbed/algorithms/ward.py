"""Ward merging of vectors along the edges of a graph: the two neighbours join whose union adds least to the squared error.

The cost of a merge is what it adds to the sum of squared distances of vectors from the mean of their region. So the costs of all merges sum
to the squared error of all vectors about their common mean, whatever the graph is. Where every two vectors are neighbours, this is Ward's
clustering, and the distance of SciPy's `ward` is the root of twice the cost. Where they are not, costs may fall along the way: two regions
that become neighbours late may resemble each other more than those that were merged before.

Papers: Ward, "Hierarchical Grouping to Optimize an Objective Function", JASA 1963; as used in Li et al., "Multi-granularity Interaction
Simulation for Unsupervised Interactive Segmentation", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np
import numpy.typing as npt

from seedbed.types import Size

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class MergeTree:
    """Merges in the order in which they were done.

    Vectors are numbered 0..n-1; the merge m makes region n+m. If the graph is connected there are n-1 merges, and the last makes the root.
    """

    num_vectors: int
    children: Indices  # (merge, 2): regions that it joins, the smaller number first
    costs: npt.NDArray[np.float64]  # (merge,): what it adds to the squared error

    @cached_property
    def sizes(self) -> Indices:
        """Vectors in the region that each merge makes."""
        sizes = [1] * self.num_vectors
        for one, other in self.children.tolist():
            sizes.append(sizes[one] + sizes[other])
        return np.array(sizes[self.num_vectors :], np.int32)

    def count_within(self, cost: float) -> int:
        """How many regions are left if merging stops before the first merge that costs more than this."""
        dear = np.flatnonzero(self.costs > cost)
        return self.num_vectors - int(dear[0] if len(dear) else len(self.costs))

    def cut(self, count: int) -> Indices:
        """Region of every vector when merging stops with so many regions, or as near as the graph allows.

        Regions are numbered by their first vectors.
        """
        merges = min(max(self.num_vectors - count, 0), len(self.costs))
        owners = np.arange(self.num_vectors + merges)
        for merge in reversed(range(merges)):  # from the last merge down, so that whoever owns a child is known
            owners[self.children[merge]] = owners[self.num_vectors + merge]
        _, first, regions = np.unique(owners[: self.num_vectors], return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[regions], np.int32)


def write_on_grid(tree: MergeTree, size: Size) -> tuple[Indices, npt.NDArray[np.float64]]:
    """A tree of the cells of a grid as maps of that grid: children (2, y, x) and costs (y, x) of merges, which are counted as cells are.

    There is one merge fewer than there are cells: the last cell has none.
    """
    children = np.full((2, size[0] * size[1]), -1, np.int32)
    costs = np.zeros(size[0] * size[1])
    children[:, :-1], costs[:-1] = tree.children.T, tree.costs
    return children.reshape(2, *size), costs.reshape(size)


def read_from_grid(children: Indices, costs: npt.NDArray[np.floating]) -> MergeTree:
    """The tree that such maps hold."""
    joined = children.reshape(2, -1)[:, :-1].T
    return MergeTree(costs.size, np.ascontiguousarray(joined, np.int32), costs.reshape(-1)[:-1].astype(np.float64))


def link_grid(size: Size) -> Indices:
    """Edges (edge, 2) between the cells of a grid and those above, below, left and right of them; cells are numbered row by row."""
    cells = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    across = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()], axis=1)
    down = np.stack([cells[:-1].ravel(), cells[1:].ravel()], axis=1)
    return np.concatenate([across, down])


def merge(vectors: Floats, edges: Indices) -> MergeTree:
    """Merge vectors until no neighbours are left. Costs are computed in the precision of the vectors.

    Of equal costs, the pair is taken whose larger number is smallest, then the smaller one.
    vectors: (vector, channel).
    edges: (edge, 2), pairs of different vectors that are neighbours, each pair once.
    """
    # Most of the time goes into calls of single small operations, so there are few: a region's mean lies in the row of one of its vectors,
    # and only the cheapest of a region's links to older ones waits in the heap. Dictionaries of numbers are no work for the collector of
    # garbage.
    count = len(vectors)
    means = vectors.copy()
    rows, sizes = list(range(count)), [1] * count
    links: list[dict[int, float]] = [{} for _ in range(count)]  # of every region, to its neighbours: what it costs to join them
    apart = vectors[edges[:, 0]] - vectors[edges[:, 1]]
    for (one, other), squared in zip(edges.tolist(), np.vecdot(apart, apart).tolist(), strict=True):
        links[one][other] = links[other][one] = squared / 2
    heap = [link for region in range(count) if (link := _cheapest_to_older(region, links))]
    heapify(heap)
    children, costs = [], []
    difference, gathered = np.empty_like(means[0]), np.empty_like(means)
    while heap:
        cost, younger, older = heap[0]
        if older not in links[younger]:
            link = _cheapest_to_older(younger, links)
            if link:
                heapreplace(heap, link)
            else:
                heappop(heap)
            continue
        heappop(heap)
        made = len(rows)
        size = sizes[older] + sizes[younger]
        mean = means[rows[older]]
        np.subtract(means[rows[younger]], mean, out=difference)
        np.multiply(difference, sizes[younger] / size, out=difference)
        np.add(mean, difference, out=mean)
        beside = links[older] | links[younger]
        del beside[older], beside[younger]
        links[older], links[younger] = {}, {}
        rows.append(rows[older])
        sizes.append(size)
        children.append((older, younger))
        costs.append(cost)
        linked: dict[int, float] = {}
        if beside:
            around = np.take(means, [rows[region] for region in beside], axis=0, out=gathered[: len(beside)], mode="clip")
            np.subtract(around, mean, out=around)
            for region, squared in zip(beside, np.vecdot(around, around).tolist(), strict=True):
                other = links[region]
                other.pop(older, None)
                other.pop(younger, None)
                other[made] = linked[region] = squared * (size * sizes[region] / (size + sizes[region]))
            cost, older = min(zip(linked.values(), linked, strict=True))
            heappush(heap, (cost, made, older))
        links.append(linked)
    return MergeTree(
        num_vectors=count,
        children=np.array(children, np.int32).reshape(-1, 2),
        costs=np.array(costs, np.float64),
    )


def _cheapest_to_older(region: int, links: Sequence[Mapping[int, float]]) -> tuple[float, int, int] | None:
    """The cheapest link of a region to one with a smaller number, if there is any: its cost, the region, the other."""
    older = [(cost, other) for other, cost in links[region].items() if other < region]
    if not older:
        return None
    cost, other = min(older)
    return cost, region, other
