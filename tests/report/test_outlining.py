"""What is written of outlines, other programs read: COCO's own tool, and Label Studio's packing bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as reference

from seedbed.report.outlining import encode_strokes, find_things, measure_runs, pack_runs, trace_borders
from seedbed.scoring import outlines

SHAPES = [
    np.zeros((3, 5), bool),
    np.ones((4, 3), bool),
    np.eye(5, 7, dtype=bool),
    *(np.random.default_rng(seed).random((23, 17 + seed)) < share for seed, share in enumerate((0.02, 0.5, 0.97))),
    np.repeat(np.repeat(np.random.default_rng(7).random((5, 4)) < 0.5, 40, axis=0), 50, axis=1),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_run_lengths_are_those_of_cocos_tool(shape: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
    packed = reference.encode(np.asfortranarray(shape.astype(np.uint8)))
    assert pack_runs(measure_runs(shape)) == packed["counts"].decode()
    assert np.array_equal(outlines.draw({"size": shape.shape, "counts": measure_runs(shape)}, shape.shape), shape)


def test_the_smallest_known_run_lengths() -> None:
    assert measure_runs(np.array([[0, 1, 1], [0, 0, 1]], bool)) == [2, 1, 1, 2]
    assert measure_runs(np.array([[1, 0]], bool)) == [0, 1, 1]
    assert pack_runs([2, 1, 1, 2]) == "2111"


def unpack_strokes(packed: list[int]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """As Label Studio's page reads them: a length, then runs of one value or of several in a row."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    length, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < length:
        repeated, index = take(1), take(2)
        count = take(sizes[index]) + 1
        values += [take(word)] * count if repeated else [take(word) for _ in range(count)]
    assert len(bits) - place < 8
    return np.array(values, np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_strokes_of_a_brush_are_read_back(shape: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
    values = unpack_strokes(encode_strokes(shape)).reshape(*shape.shape, 4)
    assert np.array_equal(values, np.repeat(255 * shape[..., None].astype(np.uint8), 4, axis=-1))


def test_borders_go_along_the_lines_between_pixels() -> None:
    assert trace_borders(np.ones((2, 3), bool)) == [[(0, 0), (3, 0), (3, 2), (0, 2)]]
    assert trace_borders(np.array([[1, 1], [1, 0]], bool)) == [[(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]]


def test_a_hole_has_a_border_of_its_own_unless_it_opens_at_a_corner() -> None:
    ring = np.ones((3, 4), bool)
    ring[1, 1] = False
    assert trace_borders(ring) == [[(0, 0), (4, 0), (4, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)]]
    ring[0, 0] = False
    assert len(trace_borders(ring)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_polygons_and_run_lengths_of_things_give_back_every_pixel(seed: int) -> None:
    """Whatever the shape, drawn by COCO's own tool."""
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (13, 19), p=[0.2, 0.6, 0.1, 0.1])
    drawn = np.zeros_like(labels)
    things = list(find_things(labels, tolerance=0))
    for thing in things:
        if thing.polygon is not None:
            corners = [float(coordinate) for corner in thing.polygon for coordinate in corner]
            shape = reference.decode(reference.merge(reference.frPyObjects([corners], *labels.shape))).astype(bool)
            assert np.array_equal(shape, thing.shape)
        left, top, width, height = thing.box
        assert np.array_equal(np.argwhere(thing.shape).min(axis=0), (top, left))
        assert np.array_equal(np.argwhere(thing.shape).max(axis=0), (top + height - 1, left + width - 1))
        drawn[thing.shape] = thing.class_id
    assert np.array_equal(drawn, np.where(labels == 255, 0, labels)) and sum(thing.area for thing in things) == (drawn > 0).sum()
    assert {thing.polygon is None for thing in things} == {True, False}


def test_polygons_with_fewer_corners_stay_close() -> None:
    rows, columns = np.mgrid[:80, :90]
    disc = ((rows - 40) ** 2 + (columns - 45) ** 2 < 35**2).astype(np.uint8)
    [exact], [fewer] = (list(find_things(disc, tolerance=tolerance)) for tolerance in (0, 1.5))
    assert exact.polygon and fewer.polygon and len(fewer.polygon) < len(exact.polygon) / 4
    corners = [float(coordinate) for corner in fewer.polygon for coordinate in corner]
    drawn = reference.decode(reference.merge(reference.frPyObjects([corners], 80, 90))).astype(bool)
    assert (drawn ^ disc.astype(bool)).sum() < 0.05 * disc.sum()
    [dot] = find_things(np.array([[0, 1, 0]], np.uint8), tolerance=50)
    assert dot.polygon == [(1, 0), (2, 0), (2, 1), (1, 1)]
