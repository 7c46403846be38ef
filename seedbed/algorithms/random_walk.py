"""Random walks on a graph of cells or regions: a node takes the mean of its neighbours' values, by the strength of their links, many times.

The transition matrix is that of Ahn and Kwak, "Learning Pixel-level Semantic Affinity with Image-level Supervision", CVPR 2018: strengths
to a power, with 1 on the diagonal, divided by the sums of columns; its power for many steps is applied to maps. It is usually squared as a
dense matrix. Here it stays sparse and is applied to the maps alone. It is similar to a symmetric matrix, so that its power is a sum of
Chebyshev's polynomials whose coefficients soon vanish: 256 steps take 84 products, and 64 take 42, with the same result.

Paper: for the polynomial, Sachdeva and Vishnoi, "Faster Algorithms via Approximation Theory", 2014, chapter 3.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import scipy.sparse
from pydantic import Field

from seedbed.algorithms.cell_pairs import find_margin, list_offsets, mask_sources
from seedbed.methods import parameters
from seedbed.types import RegionMap, cells

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Links: Any = scipy.sparse.csr_array  # (node, node) of strengths, symmetric, 1 or more on the diagonal; scipy has no types
BYTES_PER_LINK = 8 + 4  # its strength and its place
TOLERANCE = 1e-7  # sum of the coefficients that are left out


@parameters
class Walk:
    """Constants of a random walk."""

    over: Literal["cells", "superpixels"]  # what it goes between; superpixels are our addition
    radius: Annotated[int, Field(ge=2, le=64)]  # cells nearer to each other than this are linked
    power: Annotated[float, Field(ge=0, le=1000)]  # paper: beta; of strengths
    squarings: Annotated[int, Field(ge=0, le=12)]  # paper: log t; of the transition matrix, so that there are 2 to this power steps

    def memory(self, extents: Mapping[str, int]) -> int:
        """An estimate of the bytes that the links of the largest image take: the matrix, what it is made from, and what it becomes.

        extents: lengths of dimensions by name; before there are edges, those of cells are not among them.
        """
        return 3 * BYTES_PER_LINK * 2 * len(list_offsets(self.radius)) * extents.get("map_y", 0) * extents.get("map_x", 0)

    def link(self, strengths: Floats, *, border: bool = True) -> Links:
        """Links between the cells of an image: see `link_cells`."""
        return link_cells(strengths**self.power, radius=self.radius, border=border)

    def diffuse(
        self, values: Sequence[Floats], links: Sequence[Links], regions: Sequence[RegionMap], *, strides: Sequence[int], device: str
    ) -> list[Floats]:
        """Maps of several images after the walk, at the size of the image: bilinear if it goes between cells, else the superpixel's value.

        values: (map, y, x), of cells.
        regions: (y, x) of each image's pixels.
        strides: pixels per cell of each image.
        """
        steps, flat = 2**self.squarings, [one.reshape(len(one), -1) for one in values]
        if self.over == "cells":
            walked = walk(flat, links, steps, device=device)
            shaped = (one.reshape(before.shape) for one, before in zip(walked, values, strict=True))
            return [_enlarge(*one) for one in zip(shaped, strides, (one.shape for one in regions), strict=True)]
        members = [share_cells(one, stride) for one, stride in zip(regions, strides, strict=True)]
        means = [one @ member / member.sum(axis=0) for one, member in zip(flat, members, strict=True)]
        joined = [join_nodes(one, member) for one, member in zip(links, members, strict=True)]
        return [one[:, region] for one, region in zip(walk(means, joined, steps, device=device), regions, strict=True)]


def _enlarge(maps: Floats, stride: int, size: tuple[int, ...]) -> Floats:
    """Maps of cells as maps of pixels, bilinear."""
    height, width = maps.shape[1] * stride, maps.shape[2] * stride
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR)[: size[0], : size[1]] for one in maps])


def link_cells(strengths: Floats, *, radius: int, border: bool) -> Links:
    """Links between the cells of an image.

    strengths: (pair, y, x) of each cell and that at an offset, in the order of `list_offsets`; what lies beyond the image is not looked at.
    border: whether cells that lack a pair because the border is near have those that there are.
    """
    grid = (strengths.shape[1], strengths.shape[2])
    count, margin = grid[0] * grid[1], 0 if border else find_margin(radius)
    offsets = list_offsets(radius)
    kept = np.stack([np.where(mask_sources(grid, offset, margin=margin), one, 0) for offset, one in zip(offsets, strengths, strict=False)])
    steps, places = np.unique([down * grid[1] + across for down, across in offsets], return_inverse=True)
    diagonals = np.zeros((len(steps), count), np.float32)
    np.add.at(diagonals, places, kept.reshape(len(offsets), count))  # in a narrow image several offsets are as many cells away
    lower = scipy.sparse.dia_array((diagonals, -steps), shape=(count, count)).tocsr()
    lower.eliminate_zeros()
    return (lower + lower.T + scipy.sparse.eye_array(count, dtype=np.float32, format="csr")).tocsr()


def share_cells(regions: RegionMap, stride: int) -> Any:
    """Share of each cell's pixels that is in each region: a sparse (cell, region). Pixels beyond the image are in none."""
    height, width = regions.shape
    rows, columns = cells((height, width), stride)
    of_pixels = np.arange(height)[:, None] // stride * columns + np.arange(width) // stride
    pixels = np.full(regions.size, 1 / stride**2, np.float32)
    shape = (rows * columns, int(regions.max()) + 1)
    return scipy.sparse.coo_array((pixels, (of_pixels.ravel(), regions.ravel())), shape=shape).tocsr()


def join_nodes(links: Links, members: Any) -> Links:
    """Links between regions: the sum of those between their cells, within them too."""
    return (members.T @ links @ members).tocsr()


def walk(values: Sequence[Floats], links: Sequence[Links], steps: int, *, device: str = "cpu") -> list[Floats]:
    """Values (map, node) of several graphs after some steps of a random walk, in which each node becomes the mean of those linked with it.

    On a GPU all graphs are walked on together, as one graph in several pieces. Single precision would be wrong by 2e-4 after 256 steps.
    """
    roots = [np.sqrt(np.bincount(one.indices, weights=one.data)) for one in links]  # the diagonal is full, so every node occurs
    scaled = [_scale(one, np.reciprocal(root)) for one, root in zip(links, roots, strict=True)]
    starts = [value.astype(np.float64) * root for value, root in zip(values, roots, strict=True)]
    if device == "cpu":
        walked = [_apply_power(partial(_multiply, one), start, steps) for one, start in zip(scaled, starts, strict=True)]
    else:
        walked = walk_together(scaled, starts, steps, device=device)
    return [np.asarray(one / root, np.float32) for one, root in zip(walked, roots, strict=True)]


def _scale(links: Links, factors: Doubles) -> Links:
    """Links whose rows and columns are both multiplied by factors."""
    lengths = np.diff(links.indptr)
    data = np.repeat(factors, lengths)
    data *= links.data
    data *= factors[links.indices]
    return scipy.sparse.csr_array((data, links.indices, links.indptr), shape=links.shape)


def _multiply(links: Links, maps: Doubles) -> Doubles:
    """Maps times links, one map at a time: scipy is slower with several."""
    return np.stack([links @ one for one in maps])


def walk_together(links: Sequence[Links], starts: Sequence[Doubles], steps: int, *, device: str) -> list[Doubles]:
    """The same on a device of torch, for all graphs at once."""
    import torch  # for which nobody pays on a CPU

    if not starts:
        return []
    joined, most = scipy.sparse.block_diag(links, format="csr"), max(map(len, starts))
    rows, columns, strengths = (torch.from_numpy(part).to(device) for part in (joined.indptr, joined.indices, joined.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(rows, columns, strengths, size=joined.shape, check_invariants=False)
    padded = np.concatenate([np.pad(one, ((0, most - len(one)), (0, 0))) for one in starts], axis=1)
    walked = _apply_power(lambda maps: (matrix @ maps.T).T, torch.from_numpy(padded).to(device), steps).cpu().numpy()
    ends = np.cumsum([one.shape[1] for one in starts])[:-1]
    return [part[: len(start)] for part, start in zip(np.split(walked, ends, axis=1), starts, strict=True)]


def _apply_power(multiply: Callable[[Any], Any], start: Any, steps: int) -> Any:
    """A power of a symmetric matrix, whose eigenvalues are within -1 and 1, applied to maps.

    multiply: applies the matrix once; start: the maps, an array or a tensor.
    """
    coefficients = expand_power(steps)
    before, now = start, multiply(start)
    total = coefficients[0] * before + coefficients[1] * now
    for coefficient in coefficients[2:]:
        before, now = now, 2 * multiply(now) - before
        if coefficient:
            total += coefficient * now
    return total


@cache
def expand_power(steps: int) -> tuple[float, ...]:
    """Coefficients of Chebyshev's polynomials whose sum is a power of x, but for a tail that sums to less than a tolerance."""
    coefficients = [0.0] * (steps + 1)
    for degree in range(steps % 2, steps + 1, 2):
        coefficients[degree] = math.comb(steps, (steps - degree) // 2) / 2 ** (steps - (degree > 0))
    tail = 0.0
    while tail + coefficients[-1] < TOLERANCE:
        tail += coefficients.pop()
    return tuple(coefficients)
