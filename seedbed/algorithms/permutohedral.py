"""Gaussian filters over points of any dimension in linear time, as tensors on any device: the permutohedral lattice.

Paper: Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010.

Every point lies in a simplex of a regular lattice. Its value is spread over the simplex's corners (splat), corners are blurred with their
neighbours along each axis of the lattice, and points gather what their corners then hold (slice).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TINY = 1e-20  # keeps the square root finite
LARGEST_CODE = 2**62


@dataclass(frozen=True)
class Lattice:
    """A Gaussian filter with a standard deviation of 1 over some points, normalised on both sides as in Krähenbühl and Koltun."""

    splat: Tensor  # sparse (corner, point); the last corner is none, and holds nothing
    slice: Tensor  # sparse (point, corner)
    neighbours: Tensor  # (axis, 2, corner): before and after along each axis
    norm: Tensor  # (point, 1)

    @classmethod
    def build(cls, points: Tensor, groups: Tensor) -> Lattice | None:
        """The filter over points (N, d). None where they are so far apart that corners cannot be numbered in 64 bits.

        groups: of each point, from 0 on (N,); points of different groups do not see each other.
        """
        corners, weights = _find_corners(points)
        numbered = _number_corners(corners, groups)
        if numbered is None:
            return None
        codes, steps = numbered
        known, places = torch.unique(codes.flatten(), return_inverse=True)
        count, (number, each) = len(known), codes.shape
        owners = torch.arange(number, device=points.device).repeat_interleave(each)
        splat = _compress(places, owners, weights.flatten(), (count + 1, number))
        gather = _compress(owners, places, weights.flatten(), (number, count + 1))
        along = torch.stack([torch.stack([known - step, known + step]) for step in steps])
        found = torch.searchsorted(known, along.clamp(known[0], known[-1]))
        neighbours = torch.where(known[found] == along, found, count)
        neighbours = torch.cat([neighbours, torch.full((*neighbours.shape[:2], 1), count, device=points.device)], dim=-1)
        bare = cls(splat, gather, neighbours, torch.ones(number, 1, device=points.device))
        return cls(splat, gather, neighbours, (bare.filter(bare.norm) + TINY).rsqrt())

    def filter(self, values: Tensor) -> Tensor:
        """Filtered values (N, channel)."""
        held = self.splat @ (values * self.norm)
        for before, after in self.neighbours:
            held = held.add(held[before].add_(held[after]), alpha=0.5)  # on a GPU, few labels take as long as it takes to start operations
        return (self.slice @ held) * self.norm  # a constant factor, as the paper has one, would cancel out


def _find_corners(points: Tensor) -> tuple[Tensor, Tensor]:
    """Corners of each point's simplex (N, d + 1, d), without their last coordinate, which follows, and its weights on them (N, d + 1)."""
    number, axes = points.shape
    device = points.device
    spread = np.float32(math.sqrt(2 / 3) * (axes + 1))  # rounded as pydensecrf rounds it, so that points fall into the same simplices
    scales = [float(spread) / math.sqrt((axis + 1) * (axis + 2)) for axis in range(axes)]
    scaled = points * torch.tensor(scales, device=device, dtype=points.dtype)
    sums = scaled.flip(1).cumsum(1).flip(1)  # of this coordinate and those after it
    elevated = torch.cat([sums, torch.zeros_like(sums[:, :1])], dim=1)
    elevated[:, 1:] -= torch.arange(1, axes + 1, device=device) * scaled
    nearest = torch.floor(elevated / (axes + 1) + 0.5) * (axes + 1)
    off = elevated - nearest
    rank = off.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    rank = rank + torch.round(nearest.sum(dim=1, keepdim=True) / (axes + 1)).long()
    low, high = rank < 0, rank > axes
    rank = rank + (axes + 1) * (low.long() - high.long())
    nearest = nearest + (axes + 1) * (low.to(points.dtype) - high.to(points.dtype))
    shares = (elevated - nearest) / (axes + 1)
    weights = torch.zeros(number, axes + 2, device=device, dtype=points.dtype)
    weights.scatter_add_(1, axes - rank, shares).scatter_add_(1, axes - rank + 1, -shares)
    weights[:, 0] += 1 + weights[:, axes + 1]
    each = torch.arange(axes + 1, device=device)
    canonical = torch.where(each[None] <= axes - each[:, None], each[:, None], each[:, None] - (axes + 1))  # (corner, rank)
    corners = nearest.long()[:, None, :axes] + canonical[:, rank[:, :axes]].permute(1, 0, 2)
    return corners, weights[:, : axes + 1]


def _number_corners(corners: Tensor, groups: Tensor) -> tuple[Tensor, list[int]] | None:
    """A number for every corner (N, d + 1), and by how much it grows along each axis of the lattice; None where numbers are too large.

    groups: of each point (N,), whose corners have other numbers than those of other groups, and other neighbours.
    """
    axes = corners.shape[-1]
    low, high = corners.amin(dim=(0, 1)) - axes, corners.amax(dim=(0, 1)) + axes  # room for neighbours
    spans = (high - low + 1).tolist()
    if math.prod(spans) * (int(groups.max()) + 1) >= LARGEST_CODE:
        return None
    bases = [math.prod(spans[axis + 1 :]) for axis in range(axes)]
    code = ((corners - low) * torch.tensor(bases, device=corners.device)).sum(dim=-1)
    return code + math.prod(spans) * groups[:, None], [
        -sum(bases) + (axes + 1) * (bases[axis] if axis < axes else 0) for axis in range(axes + 1)
    ]


def _compress(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A sparse matrix from its entries, in any order."""
    order = rows.argsort(stable=True)
    starts = torch.zeros(shape[0] + 1, dtype=torch.long, device=rows.device)
    starts[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns[order], values[order], shape, check_invariants=False)
