"""A random walk with a sparse transition matrix that is applied to the maps, against a dense one that is squared, as is usual.

`--stride 4` is what IRN takes; then the dense matrix needs minutes and gigabytes, so that it is squared once, not in several rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from benchmarks.refinement import HEIGHT, WIDTH, photograph
from seedbed.algorithms.cell_pairs import find_margin, list_offsets, measure_barriers, split_pairs
from seedbed.algorithms.random_walk import Floats, link_cells, walk
from seedbed.types import cells

RADIUS, POWER, SQUARINGS, MAPS = 5, 10, 8, 2
QUICK = 8  # from this stride on, the dense matrix is quick enough for several rounds


def find_strengths(stride: int) -> Floats:
    """Strengths of pairs of cells in an image with boundaries where its colours change."""
    rows, columns = cells((HEIGHT, WIDTH), stride)
    grey = photograph(0)[::stride, ::stride].mean(axis=2)[:rows, :columns] / 255
    steep = np.abs(np.gradient(grey)).sum(axis=0)
    boundaries = np.clip(steep / steep.max(), 0, 1).astype(np.float32)
    margin = find_margin(RADIUS)
    padded = np.pad(boundaries, ((0, margin), (margin, margin)), constant_values=1)
    return (1 - np.stack(measure_barriers(padded, RADIUS, np.maximum))) ** POWER


def walk_sparse(values: Floats, strengths: Floats) -> Floats:
    """As masks are refined."""
    return walk([values], [link_cells(strengths, radius=RADIUS, border=True)], 2**SQUARINGS)[0]


def walk_dense(values: Floats, strengths: Floats) -> Floats:
    """As published: the whole matrix, squared."""
    return np.asarray(values @ square(strengths, np.float32), np.float32)


def square(strengths: Floats, kind: type[np.floating]) -> npt.NDArray[np.floating]:
    """The dense transition matrix of all steps."""
    grid = strengths.shape[1:]
    numbers, links = np.arange(grid[0] * grid[1]).reshape(grid), np.eye(grid[0] * grid[1], dtype=kind)
    for offset, one in zip(list_offsets(RADIUS), strengths, strict=True):
        (begins, ends), (known, _) = split_pairs(numbers, offset), split_pairs(one, offset)
        links[begins, ends] = links[ends, begins] = known
    links /= links.sum(axis=0, keepdims=True)
    for _ in range(SQUARINGS):
        links = links @ links
    return links


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one run, and the bytes that arrays take in it at most, in MiB."""
    tracemalloc.start()
    started = time.perf_counter()
    work()
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=QUICK, help="pixels per cell")
    stride = parser.parse_args().stride
    strengths = find_strengths(stride)
    values = np.random.default_rng(0).random((MAPS, strengths[0].size), np.float32)
    ways = {"sparse": lambda: walk_sparse(values, strengths), "dense": lambda: walk_dense(values, strengths)}
    measured = {name: measure(way) for name, way in ways.items()}
    title = f"random walk, {HEIGHT} x {WIDTH} at stride {stride}, {strengths[0].size:,} cells, {2**SQUARINGS} steps, {MAPS} maps"
    if stride >= QUICK:
        exact = values.astype(np.float64) @ square(strengths, np.float64)
        title += f"; differs by {abs(walk_sparse(values, strengths) - exact).max():.1e} at most from float64"
        seconds = medians(ways, rounds=3)
    else:
        seconds = medians({"sparse": ways["sparse"]}) | {"dense": measured["dense"][0]}
    report(title, seconds, base="sparse")
    for name, (_, peak) in measured.items():
        print(f"  {name:42} {peak:9.1f} MiB  {peak / measured['sparse'][1]:6.1f} x sparse")
