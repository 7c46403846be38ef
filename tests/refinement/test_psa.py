"""Masks by a random walk over cells that resemble each other, held against dense matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from seedbed.algorithms.cell_pairs import list_offsets
from seedbed.algorithms.crf import DenseCrf
from seedbed.algorithms.random_walk import Walk
from seedbed.refinement.psa import PRESETS, Psa
from seedbed.types import CellEdges, ClassMaps, Evidence, PseudoMask
from tests.support.evidence import evidence
from tests.support.oracles import cell_edges, dense_crf, photograph

Doubles = npt.NDArray[np.float64]
CRF = DenseCrf(
    preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
)
METHOD = Psa(
    preset="own",
    background="power",
    background_value=2.2,
    border_links=True,
    walk=Walk(over="cells", radius=3, power=2.5, squarings=2),
    crf=dataclasses.replace(CRF, iterations=0),
    confidence="probability",
)
STRIDE = 4


def known(size: tuple[int, int], classes: tuple[int, ...] = (2, 7), *, stride: int = STRIDE, seed: int = 0) -> Evidence:
    """Coarse class maps, superpixels that do not follow cells, and distances of a larger radius than is walked."""
    random, edges = np.random.default_rng(seed), cell_edges(size, stride)
    maps = random.random((len(classes), 3, 5), np.float32) ** 2
    names = np.add.outer(9 * (np.arange(size[0]) // 5), np.arange(size[1]) // 6) + (random.random(size) < 0.1)
    regions = np.unique(names, return_inverse=True)[1].reshape(size).astype(np.int32)
    edges = dataclasses.replace(edges, distances=6 * edges.distances)
    return evidence(photograph(size, seed=seed), ClassMaps(classes=classes, maps=maps), regions, edges=edges)


def resized(maps: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    return np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR) for one in maps])


def transition(strengths: dict[tuple[int, int, int, int], float], grid: tuple[int, int]) -> Doubles:
    """Links of cells to a matrix whose diagonal is 1. strengths: by row and column of the one cell and of the other."""
    made = np.eye(grid[0] * grid[1])
    for (y, x, row, column), strength in strengths.items():
        made[y * grid[1] + x, row * grid[1] + column] = made[row * grid[1] + column, y * grid[1] + x] = strength
    return made


def walked(values: npt.NDArray[Any], links: Doubles, steps: int, regions: npt.NDArray[np.int32] | None, size: tuple[int, int]) -> Doubles:
    """Values of cells (map, y, x) after some steps, at the image's size. regions: what it goes between, if not between cells."""
    flat, shape = values.reshape(len(values), -1).astype(np.float64), values.shape
    if regions is not None:
        shares = np.zeros((flat.shape[1], regions.max() + 1))
        for y, x in np.ndindex(size):
            shares[y // STRIDE * shape[2] + x // STRIDE, regions[y, x]] += 1
        flat, links = flat @ shares / shares.sum(axis=0), shares.T @ links @ shares
    flat = flat @ np.linalg.matrix_power(links / links.sum(axis=0), steps)
    if regions is not None:
        return np.asarray(flat[:, regions])
    large = resized(flat.reshape(shape), (shape[1] * STRIDE, shape[2] * STRIDE))
    return np.asarray(large[:, : size[0], : size[1]], np.float64)


def agrees(made: PseudoMask, probabilities: Doubles, classes: tuple[int, ...]) -> None:
    """A mask is the likeliest label, but where two are as good as equally likely."""
    ranked = np.sort(probabilities, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-5
    assert clear.mean() > 0.99
    assert np.array_equal(made.labels[clear], np.array([0, *classes])[probabilities.argmax(axis=0)][clear])
    assert np.abs(made.confidence - 255 * ranked[-1]).max() <= 0.51


def inferred(image: npt.NDArray[np.uint8], beliefs: Doubles) -> Doubles:
    energy = -np.log(np.maximum(beliefs, 1e-5))
    return dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3).astype(np.float64)


def believed(method: Psa, one: Evidence) -> Doubles:
    """Background and classes of every pixel after the walk."""
    (height, width), maps = one.size, resized(one.class_maps.maps, one.size)
    background = (1 - maps.max(axis=0)) ** 2.2 if method.background == "power" else np.full(one.size, method.background_value)
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    values = np.zeros((1 + len(maps), rows, columns))
    for y, x in np.ndindex(height, width):
        values[:, y // STRIDE, x // STRIDE] += np.array([background[y, x], *maps[:, y, x]]) / STRIDE**2
    margin, strengths = 0 if method.border_links else 2, {}
    for number, (down, across) in enumerate(list_offsets(3)):
        for y in range(rows - max(margin, down)):
            for x in range(margin, columns - margin):
                if 0 <= x + across < columns:
                    strengths[y, x, y + down, x + across] = np.exp(-float(one.edges.distances[number, y, x])) ** 2.5
    regions = one.regions if method.walk.over == "superpixels" else None
    return walked(values, transition(strengths, (rows, columns)), 4, regions, one.size)


def half_trusted(mask: PseudoMask, scores: Doubles) -> None:
    """A confidence of a half trusts what BECO's published selection does: of each label, the half with the largest margins.

    That rounds the half down and breaks ties as they come; here it is rounded up, and what is tied with the last is trusted too.
    """
    lowest, highest = np.sort(scores, axis=0)[-2:]
    margins, trusted = highest - lowest, mask.confidence >= 255 * 0.5
    for label in np.unique(mask.labels):
        inside = np.flatnonzero(mask.labels == label)
        best = inside[np.argsort(-margins.ravel()[inside])][: int(len(inside) * 0.5)]
        last = np.sort(margins.ravel()[inside])[::-1][(len(inside) - 1) // 2]
        sure, doubtful = trusted.ravel()[inside], margins.ravel()[inside] < last - 1e-5
        assert sure[margins.ravel()[inside] > last + 1e-5].all() and not sure[doubtful].any()
        assert trusted.ravel()[best[margins.ravel()[best] > last + 1e-5]].all() and sure.sum() >= -(-len(inside) // 2)
        assert mask.confidence.ravel()[inside].max() == 255


def check_masks(method: Any, believed: Callable[[Any, Evidence], Doubles]) -> None:
    """Hold masks of several images, with a CRF and without, against what is to be believed of their pixels after the walk."""
    several = [known((22, 33)), known((24, 17), ()), known((15, 40), (1, 3, 4), seed=1)]
    made, refined = method.refine(several), dataclasses.replace(method, crf=CRF).refine(several)
    ranking = dataclasses.replace(method, confidence="margin_rank")
    ranked, refined_ranked = ranking.refine(several), dataclasses.replace(ranking, crf=CRF).refine(several)
    for one, mask, after, *others in zip(several, made, refined, ranked, refined_ranked, strict=True):
        assert np.array_equal(mask.labels, others[0].labels) and np.array_equal(after.labels, others[1].labels)
        if one.class_maps.classes:
            beliefs = believed(method, one)
            agrees(mask, beliefs / beliefs.sum(axis=0), one.class_maps.classes)
            agrees(after, inferred(one.image, beliefs), one.class_maps.classes)
            half_trusted(others[0], beliefs)
            half_trusted(others[1], inferred(one.image, beliefs))
            assert len(np.unique(mask.labels)) > 1 and not np.array_equal(mask.labels, after.labels)
        else:
            assert not mask.labels.any() and not after.labels.any() and mask.labels.shape == (24, 17)
            assert all((each.confidence == 255).all() for each in (mask, after, *others))


@pytest.mark.parametrize("over", ["cells", "superpixels"])
@pytest.mark.parametrize("border_links", [True, False])
@pytest.mark.parametrize("background", ["power", "constant"])
def test_the_whole_written_down_with_dense_matrices(over: Any, border_links: bool, background: Any) -> None:
    method = dataclasses.replace(
        METHOD,
        border_links=border_links,
        background=background,
        background_value=2.2 if background == "power" else 0.33,
        walk=dataclasses.replace(METHOD.walk, over=over),
    )
    check_masks(method, believed)


def test_a_wall_stops_the_walk() -> None:
    """Two halves whose features are far apart; a corner of the right one is surely a class."""
    size, grid = (12, 20), (6, 10)
    distances = np.zeros((len(list_offsets(2)), *grid), np.float32)
    for (_, across), one in zip(list_offsets(2), distances, strict=True):
        for y, x in np.ndindex(grid):
            one[y, x] = 100 if (x < 4) != (x + across < 4) else 0
    edges = CellEdges(np.zeros(grid, np.float32), np.zeros((2, *grid), np.float32), distances, 2)
    maps = np.zeros((1, *size), np.float32)
    maps[:, :4, 16:] = 1
    method = dataclasses.replace(
        METHOD, background="constant", background_value=0.01, walk=Walk(over="cells", radius=2, power=1, squarings=8)
    )
    [mask] = method.refine([evidence(photograph(size), ClassMaps(classes=(3,), maps=maps), edges=edges)])
    expected = np.where(np.arange(20) >= 8, 3, 0) + np.zeros((12, 1), int)
    sure = np.abs(np.arange(20) - 7.5) > 1  # of pixels between, both cells have a say
    assert np.array_equal(mask.labels[:, sure], expected[:, sure])
    [through] = dataclasses.replace(method, walk=dataclasses.replace(method.walk, power=0)).refine(
        [evidence(photograph(size), ClassMaps(classes=(3,), maps=maps), edges=edges)]
    )
    assert (through.labels == 3).all()


def test_scores_of_cells_are_means_in_which_pixels_beyond_the_image_are_nothing() -> None:
    maps = np.array([[[1, 0.5, 0], [0.5, 0, 0.5]]], np.float32)
    one = evidence(np.zeros((2, 3, 3), np.uint8), ClassMaps(classes=(4,), maps=maps), edges=cell_edges((2, 3), 2))
    found = dataclasses.replace(METHOD, background_value=2).score_cells(one)
    assert np.allclose(found, [[[(0 + 0.25 + 0.25 + 1) / 4, (1 + 0.25) / 4]], [[0.5, 0.125]]])
    constant = dataclasses.replace(METHOD, background="constant", background_value=0.4).score_cells(one)
    assert np.allclose(constant, [[[0.4, 0.2]], [[0.5, 0.125]]]) and found.dtype == constant.dtype == np.float32


def test_company_changes_nothing() -> None:
    several = [known((22, 33)), known((24, 17), ()), known((15, 40), (1, 3, 4), seed=1)]
    method = dataclasses.replace(METHOD, crf=CRF)
    for one, made in zip(several, method.refine(several), strict=True):
        [alone] = method.refine([one])
        assert np.array_equal(made.labels, alone.labels) and np.array_equal(made.confidence, alone.confidence)
    assert method.refine([]) == []


def test_presets_are_those_that_were_published() -> None:
    numbers = {name: tuple(one.values()) for name, one in PRESETS.items()}
    assert numbers == {"psa": ("power", 16, 5, 8, 8), "seam": ("power", 6, 5, 8, 6), "mctformer": ("constant", 0.39, 5, 8, 6)}
    walk = Walk(over="superpixels", radius=5, power=8, squarings=6)
    seam = dataclasses.replace(METHOD, preset="seam", background_value=6, walk=walk)
    assert seam.compared == 5 and METHOD.compared == 3
    message = r"preset seam \(background: power, background_value: 6, walk.radius: 5, walk.power: 8, walk.squarings: 6\), or preset: own"
    others: list[dict[str, Any]] = [{"background_value": 7}, {"walk": dataclasses.replace(walk, squarings=8)}, {"background": "constant"}]
    for other in others:
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(seam, **other)


def test_a_constant_background_is_no_more_than_one() -> None:
    with pytest.raises(ValueError, match="a background_value no more than 1 where background is constant"):
        dataclasses.replace(METHOD, background="constant", background_value=1.1)
    assert dataclasses.replace(METHOD, background="constant", background_value=1).background_value == 1


def test_superpixels_are_read_where_it_walks_between_them() -> None:
    assert METHOD.uses_gpu and METHOD.unread == ("superpixels", "features")
    assert dataclasses.replace(METHOD, walk=dataclasses.replace(METHOD.walk, over="superpixels")).unread == ("features",)


def test_it_needs_the_memory_of_its_crf() -> None:
    extents = {"y": 30, "x": 50}
    assert METHOD.memory(extents) == CRF.memory(2, extents) > 0
    assert METHOD.memory({**extents, "map_y": 500, "map_x": 500}) == 3 * 12 * 2 * 12 * 250_000
