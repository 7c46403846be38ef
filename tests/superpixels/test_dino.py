"""Superpixels by lowest degree first, held against the pseudocode of the paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydensecrf.utils import unary_from_labels

from seedbed import superpixels
from seedbed.algorithms.crf import DenseCrf
from seedbed.features.texture import Texture
from seedbed.superpixels.dino import Dino, Order, discover
from seedbed.types import Alignment, Image, PatchFeatures, RegionMap
from tests.support.oracles import dense_crf, photograph

Vectors = npt.NDArray[np.float32]


def cosines(vectors: Vectors) -> Vectors:
    """Of all pairs. A vector of length zero has 1 with its like and 0 with all others, which the paper does not say."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    silent = (length == 0).astype(np.float32)
    unit = vectors / (length + silent)
    return np.asarray(unit @ unit.T + silent @ silent.T)


def from_the_paper(vectors: Vectors, threshold: float, first: str = "lowest") -> list[int]:
    """The pseudocode, word for word; the highest degree first is the dissertation's ablation."""
    similarity = cosines(vectors)
    related = similarity > 0
    left = list(range(len(vectors)))
    regions = [-1] * len(vectors)
    number = 0
    while left:
        degrees = {p: sum(bool(related[p, q]) or p == q for q in left) for p in left}
        seed = min(left, key=lambda p: (degrees[p] if first == "lowest" else -degrees[p], p))
        members = [q for q in left if q == seed or similarity[seed, q] > threshold]
        for member in members:
            regions[member] = number
        left = [p for p in left if p not in members]
        number += 1
    return regions


@st.composite
def random_vectors(draw: st.DrawFn) -> Vectors:
    """Directions in a few dimensions, so that many resemble each other."""
    count, channels = draw(st.integers(1, 40)), draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    return (random.standard_normal((count, channels)) + draw(st.floats(0, 1))).astype(np.float32)


@pytest.mark.parametrize("first", ["lowest", "highest"])
@given(vectors=random_vectors(), threshold=st.floats(-0.5, 0.95))
def test_regions_are_those_of_the_paper(vectors: Vectors, threshold: float, first: Order) -> None:
    assert discover(vectors, threshold=threshold, first=first).tolist() == from_the_paper(vectors, threshold, first)


def test_the_highest_degree_first_finds_the_largest_of_orthogonal_clusters_first() -> None:
    clusters = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2, 2]]
    assert discover(clusters, threshold=0.5, first="lowest").tolist() == [0, 1, 1, 2, 2, 2]
    assert discover(clusters, threshold=0.5, first="highest").tolist() == [2, 1, 1, 0, 0, 0]


@given(random_vectors(), st.floats(-1, 1))
def test_regions_are_numbered_in_order_and_without_gaps(vectors: Vectors, threshold: float) -> None:
    regions = discover(vectors, threshold=threshold, first="lowest")
    assert regions.dtype == np.int32
    assert np.unique(regions).tolist() == list(range(regions.max() + 1))


@given(random_vectors(), st.floats(0, 0.95))
def test_within_a_region_nothing_is_too_far_apart(vectors: Vectors, threshold: float) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    regions = discover(vectors, threshold=threshold, first="lowest")
    for region in range(regions.max() + 1):
        members = np.flatnonzero(regions == region)
        assert similarity[np.ix_(members, members)].min() > 2 * threshold**2 - 1 - 1e-5
        assert any((np.delete(similarity[seed, members], index) > threshold).all() for index, seed in enumerate(members))


@given(random_vectors())
def test_the_first_region_grows_from_the_patch_that_resembles_fewest(vectors: Vectors) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    related = unit @ unit.T > 0
    np.fill_diagonal(related, True)
    assert discover(vectors, threshold=0.5, first="lowest")[related.sum(axis=1).argmin()] == 0


@given(random_vectors())
def test_extreme_thresholds_give_single_patches_or_one_region(vectors: Vectors) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    largest = (unit @ unit.T - 2 * np.eye(len(unit))).max()
    assert sorted(discover(vectors, threshold=float(largest) + 1e-6, first="lowest")) == list(range(len(vectors)))
    assert not discover(vectors, threshold=-1.1, first="lowest").any()


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5, unique=True), st.integers(0, 1000), st.floats(0, 0.99))
def test_orthogonal_clusters_are_found_wherever_they_lie_the_smallest_first(sizes: list[int], seed: int, threshold: float) -> None:
    clusters = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    regions = discover(np.eye(len(sizes), dtype=np.float32)[clusters], threshold=threshold, first="lowest")
    by_size = sorted(range(len(sizes)), key=lambda cluster: sizes[cluster])
    assert regions.tolist() == [by_size.index(cluster) for cluster in clusters]


@given(random_vectors(), st.integers(0, 1000))
def test_the_length_of_vectors_means_nothing(vectors: Vectors, seed: int) -> None:
    factors = 2.0 ** np.random.default_rng(seed).integers(-8, 9, (len(vectors), 1))  # exact, so that nothing is rounded otherwise
    scaled = (vectors * factors).astype(np.float32)
    assert np.array_equal(discover(scaled, threshold=0.3, first="lowest"), discover(vectors, threshold=0.3, first="lowest"))


# --- Vectors of length zero ---


@given(random_vectors(), st.floats(-0.99, 0.95), st.integers(0, 1000))
def test_patches_that_say_nothing_are_of_one_region_whatever_the_threshold(vectors: Vectors, threshold: float, seed: int) -> None:
    silent = np.random.default_rng(seed).random(len(vectors)) < 0.4
    vectors[silent] = 0
    regions = discover(vectors, threshold=threshold, first="lowest")
    assert regions.tolist() == from_the_paper(vectors, threshold)
    assert len(np.unique(regions[silent])) <= 1
    if threshold >= 0:
        assert not np.isin(regions[~silent], regions[silent]).any()


def test_patches_that_say_nothing_resemble_each_other_and_nothing_else() -> None:
    vectors = np.array([[1, 0], [0, 0], [1, 0], [0, 0], [1, 0]], np.float32)
    assert discover(vectors, threshold=0.3, first="lowest").tolist() == [1, 0, 1, 0, 1]  # they are fewer, so they come first
    assert discover(vectors, threshold=1, first="lowest").tolist() == [1, 0, 2, 0, 3]  # of directions, only a patch itself exceeds that
    assert not discover(vectors, threshold=-0.1, first="lowest").any()  # at right angles to all


def test_patches_that_say_nothing_are_one_region_alone() -> None:
    assert not discover(np.zeros((400, 7), np.float32), threshold=0.7, first="lowest").any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 30, 30)])
def test_an_image_of_one_colour_is_one_superpixel_and_needs_no_crf(
    colour: tuple[int, int, int], small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("seedbed.algorithms.crf.DenseCrf._infer")
    image = np.full((81, 121, 3), colour, np.uint8)
    [patches] = Texture(patch_size=4, num_directions=8, reach=0.5, texture_weight=0.0).describe([image])
    dino = dataclasses.replace(small_method("superpixels", "dino"), threshold=0.7)
    assert not dino.segment(image, patches).any()


def test_degrees_count_only_what_is_left() -> None:
    angles = np.deg2rad([0, 80, 160, 165, 170, 175, 250])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    regions = discover(vectors, threshold=0.9, first="lowest").tolist()
    assert regions == from_the_paper(vectors, 0.9)
    assert regions[2:6] == [regions[2]] * 4


# --- From patches to pixels ---


@pytest.fixture
def plain(small_method: Callable[[str, str], Any]) -> Dino:
    """Without a CRF."""
    dino = small_method("superpixels", "dino")
    assert isinstance(dino, Dino)
    return dataclasses.replace(dino, threshold=0.5, crf=dataclasses.replace(dino.crf, iterations=0))


def test_regions_of_a_padded_image_reach_pixels_as_squares_that_the_border_cuts(plain: Dino) -> None:
    values = np.zeros((2, 3, 2), np.float32)
    values[..., 0] = 1
    values[0, 0] = values[1, 2] = (0, 1)
    regions = plain.segment(np.zeros((5, 9, 3), np.uint8), PatchFeatures(values=values, patch_size=4, alignment=Alignment.PADDED))
    expected = np.ones((5, 9), np.int32)
    expected[:4, :4] = expected[4:, 8:] = 0  # the smaller one first, in two pieces, one of them a single pixel
    assert np.array_equal(regions, expected)


def test_regions_of_a_resized_image_lie_where_the_network_saw_them(plain: Dino) -> None:
    values = np.zeros((2, 3, 2), np.float32)
    values[..., 0] = 1
    values[:, 2] = (0, 1)
    regions = plain.segment(np.zeros((17, 34, 3), np.uint8), PatchFeatures(values=values, patch_size=16, alignment=Alignment.RESIZED))
    assert np.array_equal(regions, (np.arange(34) < 23) + np.zeros((17, 1), np.int32))  # two thirds of the image, not 32 pixels


def test_a_region_that_the_crf_wipes_out_leaves_no_gap(small_method: Callable[[str, str], Any]) -> None:
    dino = small_method("superpixels", "dino")
    values = np.zeros((4, 6, 3), np.float32)
    values[:, :3, 1] = values[:, 3:, 2] = 1
    values[2, 1] = (1, 0, 0)  # one patch of its own, of one colour with its neighbours
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, 12:] = 255
    field = dataclasses.replace(dino.crf, colour_distance=20, colour_weight=10, iterations=10)
    patches = PatchFeatures(values=values, patch_size=4, alignment=Alignment.PADDED)
    assert dataclasses.replace(dino, crf=dataclasses.replace(field, iterations=0)).segment(image, patches).max() == 2
    regions = dataclasses.replace(dino, crf=field).segment(image, patches)
    assert np.array_equal(regions, (np.arange(24) >= 12) + np.zeros((16, 1), np.int32))


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (15, 23)])
def test_a_last_patch_of_one_pixel_is_a_patch(size: tuple[int, int], plain: Dino) -> None:
    rows, columns = -(-size[0] // 4), -(-size[1] // 4)
    values = np.eye(rows * columns, dtype=np.float32).reshape(rows, columns, -1)
    regions = plain.segment(np.zeros((*size, 3), np.uint8), PatchFeatures(values=values, patch_size=4, alignment=Alignment.PADDED))
    assert regions.max() + 1 == rows * columns
    assert (regions[-1, -1] == regions).sum() == (size[0] - 4 * (rows - 1)) * (size[1] - 4 * (columns - 1))


def test_a_method_that_leaves_numbers_out_is_stopped() -> None:
    class Gaps(superpixels.Method):
        def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
            regions = np.zeros(image.shape[:2], np.int32)
            regions[0] = 2
            return regions

    patches = PatchFeatures(values=np.zeros((1, 1, 1), np.float32), patch_size=8, alignment=Alignment.PADDED)
    with pytest.raises(ValueError, match="numbers left out"):
        Gaps().partition(np.zeros((4, 6, 3), np.uint8), patches)


# --- As a whole ---


@pytest.mark.parametrize("alignment", [*Alignment])
def test_the_whole_is_the_pseudocode_on_pixels_then_a_crf(alignment: Alignment) -> None:
    size, edge = (37, 59), 6
    image = photograph(size)
    image[6:28, 10:34] = 128
    grid = np.zeros((7, 10, 5), np.float32)  # rows and columns of 6 pixels that cover it
    grid[..., :4] = np.random.default_rng(1).standard_normal((4, 4, 4)).repeat(2, 0).repeat(3, 1)[:7, :10]
    grid[2, 3] = (0, 0, 0, 0, 1)  # is like no other, but the image knows nothing of it
    regions = np.array(from_the_paper(grid.reshape(70, 5), 0.25)).reshape(7, 10)
    pixels = np.zeros(size, np.int64)
    for y, x in np.ndindex(*size):
        if alignment is Alignment.PADDED:
            pixels[y, x] = regions[y // 6, x // 6]
        else:
            pixels[y, x] = regions[int((y + 0.5) * 7 / 37), int((x + 0.5) * 10 / 59)]
    count = int(regions.max()) + 1
    energy = unary_from_labels(pixels, count, gt_prob=0.6, zero_unsure=False).reshape(count, *size)
    refined = dense_crf(image, energy, smooth=(6, 20), colour=(9, 14, 2.5), iterations=3).argmax(axis=0)
    left = sorted(set(refined.ravel().tolist()))
    expected = np.vectorize(left.index)(refined)
    field = DenseCrf(
        preset="own", smooth_distance=6, smooth_weight=20, colour_distance=9, colour_difference=14, colour_weight=2.5, iterations=3
    )
    found = Dino(threshold=0.25, first="lowest", crf_certainty=0.6, crf=field).segment(image, PatchFeatures(grid, edge, alignment))
    assert np.array_equal(found, expected)
    assert 3 < found.max() < count - 1  # a region is gone
