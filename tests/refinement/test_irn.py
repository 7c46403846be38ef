"""Masks by a random walk between boundaries, held against dense matrices."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.algorithms.cell_pairs import list_offsets, trace_path
from seedbed.algorithms.random_walk import Walk
from seedbed.refinement.irn import PRESETS, Irn
from seedbed.types import CellEdges, ClassMaps, Evidence
from tests.refinement.test_psa import CRF, Doubles, check_masks, resized, transition, walked
from tests.support.evidence import evidence
from tests.support.oracles import photograph

METHOD = Irn(
    preset="own",
    threshold=0.33,
    walk=Walk(over="cells", radius=3, power=1.5, squarings=2),
    crf=dataclasses.replace(CRF, iterations=0),
    confidence="probability",
)
GRID, SIZE = (6, 10), (12, 20)


def bounded(boundaries: npt.NDArray[np.float32], maps: npt.NDArray[np.float32]) -> Evidence:
    """An image of two pixels a cell with one class."""
    edges = CellEdges(boundaries, np.zeros((2, *GRID), np.float32), np.zeros((0, *GRID), np.float32), 2)
    return evidence(photograph(SIZE), ClassMaps(classes=(3,), maps=maps), edges=edges)


def corner() -> npt.NDArray[np.float32]:
    """A class map of something on the right."""
    maps = np.zeros((1, *SIZE), np.float32)
    maps[:, :4, 16:] = 1
    return maps


def linked(boundaries: Doubles) -> Doubles:
    """The transition matrix of cells within a radius of 3, whose links are taken to the power of 1.5."""
    (rows, columns), strengths = boundaries.shape, {}
    for y, x in np.ndindex(rows, columns):
        for down, across in list_offsets(3):
            if y + down < rows and 0 <= x + across < columns:
                highest = max(boundaries[y + row, x + column] for row, column in trace_path((down, across)))
                strengths[y, x, y + down, x + across] = (1 - highest) ** 1.5
    return transition(strengths, (rows, columns))


def believed(method: Irn, one: Evidence) -> Doubles:
    """Background and classes of every pixel after the walk."""
    boundaries = one.edges.boundaries.astype(np.float64)
    values = resized(one.class_maps.maps, one.edges.boundaries.shape) * (1 - boundaries)
    regions = one.regions if method.walk.over == "superpixels" else None
    scores = walked(values, linked(boundaries), 4, regions, one.size)
    return np.concatenate([np.full((1, *one.size), 0.33), scores / scores.max()])


@pytest.mark.parametrize("over", ["cells", "superpixels"])
def test_the_whole_written_down_with_dense_matrices(over: Any) -> None:
    method = dataclasses.replace(METHOD, walk=dataclasses.replace(METHOD.walk, over=over))
    check_masks(method, believed)


def test_a_wall_stops_the_walk() -> None:
    boundaries = np.zeros(GRID, np.float32)
    boundaries[:, 4] = 1
    method = dataclasses.replace(METHOD, walk=Walk(over="cells", radius=5, power=1, squarings=10))
    [mask] = method.refine([bounded(boundaries, corner())])
    assert not mask.labels[:, :9].any() and (mask.labels[:, 11:] == 3).all()
    boundaries[3, 4] = 0.5
    [mask] = method.refine([bounded(boundaries, corner())])
    assert (mask.labels[:, :7] == 3).all(), "through a gap"


def test_without_boundaries_a_class_spreads_everywhere() -> None:
    method = dataclasses.replace(METHOD, walk=Walk(over="cells", radius=3, power=10, squarings=10))
    [mask] = method.refine([bounded(np.zeros(GRID, np.float32), corner())])
    assert (mask.labels == 3).all() and np.abs(mask.confidence - 255 / 1.33).max() <= 1


def test_what_lies_on_a_boundary_does_not_spread() -> None:
    boundaries = np.zeros(GRID, np.float32)
    boundaries[:2, 8:] = 1
    [mask] = METHOD.refine([bounded(boundaries, corner())])
    assert not mask.labels.any() and (mask.confidence == 255).all()


def test_maps_are_brought_to_the_cells_of_the_boundaries() -> None:
    random = np.random.default_rng(0)
    boundaries, maps = random.random(GRID, np.float32), random.random((1, 24, 40), np.float32)
    found = METHOD.score_cells(bounded(boundaries, maps))
    assert np.allclose(found, resized(maps, GRID) * (1 - boundaries)) and found.dtype == np.float32


def test_a_mirror_image_has_a_mirrored_mask() -> None:
    random = np.random.default_rng(3)
    boundaries, maps = random.random(GRID, np.float32), random.random((1, *SIZE), np.float32) ** 3
    mask, mirrored = METHOD.refine([bounded(boundaries, maps), bounded(boundaries[:, ::-1].copy(), maps[..., ::-1].copy())])
    assert np.array_equal(mask.labels[:, ::-1], mirrored.labels) and set(np.unique(mask.labels)) == {0, 3}
    assert np.abs(mask.confidence[:, ::-1].astype(int) - mirrored.confidence).max() <= 1


def test_presets_are_those_that_were_published() -> None:
    assert {name: tuple(one.values()) for name, one in PRESETS.items()} == {"irn": (0.25, 5, 10, 8), "rib": (0.27, 5, 10, 8)}
    walk = Walk(over="superpixels", radius=5, power=10, squarings=8)
    rib = dataclasses.replace(METHOD, preset="rib", threshold=0.27, walk=walk)
    message = r"preset rib \(threshold: 0.27, walk.radius: 5, walk.power: 10, walk.squarings: 8\), or preset: own"
    others: list[dict[str, Any]] = [{"threshold": 0.25}, {"walk": dataclasses.replace(walk, power=8)}]
    for other in others:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(rib, **other)


def test_superpixels_are_read_where_it_walks_between_them() -> None:
    assert METHOD.unread == ("superpixels", "features") and METHOD.compared == 0
    assert dataclasses.replace(METHOD, walk=dataclasses.replace(METHOD.walk, over="superpixels")).unread == ("features",)
