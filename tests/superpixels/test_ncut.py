"""Superpixels by normalised cuts, held against the dense solution of every cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydensecrf.utils import unary_from_labels

from seedbed.algorithms.crf import DenseCrf
from seedbed.superpixels.ncut import Ncut, Stop, cut_repeatedly
from seedbed.types import Alignment, PatchFeatures
from tests.algorithms.test_normalised_cut import dense, transcribed_cut
from tests.superpixels.test_dino import cosines
from tests.support.oracles import dense_crf, photograph


def from_the_paper(weights: npt.NDArray[np.float64], *, count: int, cut: float) -> list[int]:
    """Every cut by the dense solution; the smaller side is a region."""
    left, regions, number = np.arange(len(weights)), [-1] * len(weights), 0
    while len(left) > 1 and number < count - 1:
        rest = weights[np.ix_(left, left)]
        side, _ = dense(rest)
        if transcribed_cut(rest, side) > cut:
            break
        side = side if side.sum() <= len(left) / 2 else ~side
        for node in left[side]:
            regions[node] = number
        left, number = left[~side], number + 1
    return [number if region < 0 else region for region in regions]


@pytest.mark.parametrize(("stop", "count", "cut"), [("count", 4, 0.0), ("cut", 1, 0.55)])
def test_the_whole_is_the_dense_solutions_on_pixels_then_a_crf(stop: Stop, count: int, cut: float) -> None:
    size = (37, 59)
    image, grid = photograph(size), np.random.default_rng(1).standard_normal((7, 10, 3)).astype(np.float32)
    weights = np.where(cosines(grid.reshape(70, 3)) > 0.4, 1.0, 0.01)
    regions = from_the_paper(weights, count=count if stop == "count" else 100, cut=cut if stop == "cut" else 9)
    assert max(regions) == 3 if stop == "count" else 1 <= max(regions) < 40
    pixels = np.array(regions).reshape(7, 10).repeat(6, 0).repeat(6, 1)[:37, :59]
    energy = unary_from_labels(pixels, max(regions) + 1, gt_prob=0.6, zero_unsure=False).reshape(-1, *size)
    refined = dense_crf(image, energy, smooth=(6, 20), colour=(9, 14, 2.5), iterations=3).argmax(axis=0)
    expected = np.unique(refined, return_inverse=True)[1].reshape(size)
    field = DenseCrf(
        preset="own", smooth_distance=6, smooth_weight=20, colour_distance=9, colour_difference=14, colour_weight=2.5, iterations=3
    )
    method = Ncut(threshold=0.4, weak=0.01, stop=stop, count=count, cut=cut, crf_certainty=0.6, crf=field)
    assert np.array_equal(method.segment(image, PatchFeatures(grid, 6, Alignment.PADDED)), expected)


@pytest.fixture
def plain(small_method: Callable[[str, str], Any]) -> Ncut:
    """Without a CRF."""
    ncut = small_method("superpixels", "ncut")
    assert isinstance(ncut, Ncut)
    return dataclasses.replace(ncut, threshold=0.3, crf=dataclasses.replace(ncut.crf, iterations=0))


def test_orthogonal_clusters_are_found_wherever_they_lie(plain: Ncut) -> None:
    clusters = np.random.default_rng(0).permutation(np.repeat([0, 1], [11, 29])).reshape(5, 8)
    patches = PatchFeatures(np.eye(2, dtype=np.float32)[clusters], 4, Alignment.PADDED)
    for method in (dataclasses.replace(plain, stop="count", count=2), dataclasses.replace(plain, stop="cut", cut=0.1)):
        regions = method.segment(np.zeros((20, 32, 3), np.uint8), patches)
        assert np.array_equal(regions[::4, ::4], clusters)  # the smaller one first


def test_what_was_cut_off_is_not_cut_again() -> None:
    clusters = np.repeat(np.arange(3), [5, 11, 24])
    weights = np.where(clusters[:, None] == clusters, 1.0, 1e-5)
    regions = cut_repeatedly(weights, stop="cut", count=1, cut=0.1)
    assert regions.tolist() == (clusters == 2).astype(int).tolist()  # that cut is the more even one


def test_what_is_left_of_many_nodes_is_cut_again() -> None:
    clusters = np.repeat(np.arange(3), [10, 25, 45])
    between = np.array([[1, 1e-4, 1e-4], [1e-4, 1, 0.01], [1e-4, 0.01, 1]])
    assert cut_repeatedly(between[np.ix_(clusters, clusters)], stop="count", count=3, cut=0).tolist() == clusters.tolist()


def test_a_cut_of_just_the_largest_value_is_made() -> None:
    weights = np.array([[1, 0.25], [0.25, 1]])  # 0.25 of 1.25 on either side
    assert cut_repeatedly(weights, stop="cut", count=1, cut=0.4).tolist() == [1, 0]
    assert cut_repeatedly(weights, stop="cut", count=1, cut=0.39).tolist() == [0, 0]


def test_an_image_of_one_colour_stays_whole_where_cuts_must_be_good(plain: Ncut) -> None:
    image = np.full((17, 33, 3), 90, np.uint8)
    for values in (np.ones((3, 5, 4), np.float32), np.zeros((3, 5, 4), np.float32)):
        patches = PatchFeatures(values, 8, Alignment.PADDED)
        assert not dataclasses.replace(plain, stop="cut", cut=0.9).segment(image, patches).any()


def test_a_rest_that_is_all_linked_stays_whole_whatever_the_count() -> None:
    clusters = np.repeat([1, 0], [60, 9])
    weights = np.where(clusters[:, None] == clusters, 1.0, 1e-5)
    assert cut_repeatedly(weights, stop="count", count=5, cut=0).tolist() == clusters.tolist()


def test_cuts_are_made_on_the_device(plain: Ncut) -> None:
    patches = PatchFeatures(np.random.default_rng(0).standard_normal((5, 8, 3)).astype(np.float32), 4, Alignment.PADDED)
    image = np.zeros((20, 32, 3), np.uint8)
    method = dataclasses.replace(plain, stop="count", count=3)
    assert np.array_equal(method.segment(image, patches), method.segment(image, patches, device="cpu:0"))
    with pytest.raises(NotImplementedError):  # its tensors hold no numbers: the error shows that it was asked to multiply
        method.segment(image, patches, device="meta")


def test_there_are_never_more_regions_than_nodes() -> None:
    assert sorted(cut_repeatedly(np.eye(3) + 0.1, stop="count", count=9, cut=0)) == [0, 1, 2]
    assert cut_repeatedly(np.ones((1, 1)), stop="cut", count=1, cut=2).tolist() == [0]


def test_patches_are_linked_by_1_and_all_others_hardly(plain: Ncut, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[npt.NDArray[np.float64]]()

    def look(weights: npt.NDArray[np.float64], **_: Any) -> npt.NDArray[np.int32]:
        seen.append(weights)
        return np.zeros(len(weights), np.int32)

    monkeypatch.setattr("seedbed.superpixels.ncut.cut_repeatedly", look)
    values = np.array([[[1, 0], [0, 1], [2, 0]]], np.float32)
    dataclasses.replace(plain, threshold=0.0, weak=0.25).segment(np.zeros((4, 12, 3), np.uint8), PatchFeatures(values, 4, Alignment.PADDED))
    assert seen[0].tolist() == [[1, 0.25, 1], [0.25, 1, 0.25], [1, 0.25, 1]]
