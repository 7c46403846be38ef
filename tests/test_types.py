"""Sizes of grids, maps that change size, and how sure labels are."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.types import PARTS, Alignment, ClassMaps, PatchFeatures, Probabilities, PseudoMask, Size, cells


@pytest.mark.parametrize(
    ("size", "edge", "expected"), [((16, 24), 8, (2, 3)), ((17, 24), 8, (3, 3)), ((1, 9), 8, (1, 2)), ((5, 7), 1, (5, 7))]
)
def test_cells_cover_the_image(size: tuple[int, int], edge: int, expected: tuple[int, int]) -> None:
    assert cells(size, edge) == expected


# --- From patches to pixels ---


def numbered(size: Size, edge: int, alignment: Alignment) -> tuple[PatchFeatures, npt.NDArray[np.int32]]:
    """Patches of an image, and a map of them in which each has a number of its own."""
    rows, columns = cells(size, edge)
    patches = PatchFeatures(values=np.zeros((rows, columns, 1), np.float32), patch_size=edge, alignment=alignment)
    return patches, np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))


@given(SHAPES)
def test_patches_of_a_padded_image_are_squares_that_its_border_cuts(shape: tuple[int, int, int]) -> None:
    height, width, edge = shape
    patches, numbers = numbered((height, width), edge, Alignment.PADDED)
    expected = np.repeat(np.repeat(numbers, edge, axis=0), edge, axis=1)[:height, :width]
    found = patches.on_pixels(numbers, (height, width))
    assert found.dtype == np.int32 and np.array_equal(found, expected)


@given(SHAPES)
def test_patches_of_a_resized_image_cover_equal_parts_as_opencv_enlarges_to_the_nearest(shape: tuple[int, int, int]) -> None:
    height, width, edge = shape
    patches, numbers = numbered((height, width), edge, Alignment.RESIZED)
    found, expected = (
        patches.on_pixels(numbers, (height, width)),
        cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
    )
    # A pixel whose centre is on the line between two patches may have either.
    rows, columns = (2 * np.arange(height) + 1) * len(numbers) % (2 * height), (2 * np.arange(width) + 1) * len(numbers.T) % (2 * width)
    told_apart = np.ix_(rows > 0, columns > 0)
    assert np.array_equal(found[told_apart], expected[told_apart])


@pytest.mark.parametrize("alignment", list(Alignment))
@given(SHAPES)
def test_every_patch_has_a_pixel_and_whole_patches_are_squares(alignment: Alignment, shape: tuple[int, int, int]) -> None:
    height, width, edge = shape
    patches, numbers = numbered((height, width), edge, alignment)
    assert np.unique(patches.on_pixels(numbers, (height, width))).tolist() == numbers.ravel().tolist()
    patches, numbers = numbered((height * edge, width * edge), edge, alignment)
    assert np.array_equal(patches.on_pixels(numbers, (height * edge, width * edge)), np.kron(numbers, np.ones((edge, edge), np.int32)))


@pytest.mark.parametrize(
    ("alignment", "first"),
    [(Alignment.PADDED, [0, 16, 32, 48, 64, 80, 96]), (Alignment.RESIZED, [0, 14, 28, 42, 56, 70, 84])],
)
def test_where_the_patches_of_an_image_of_98_pixels_begin(alignment: Alignment, first: list[int]) -> None:
    patches, numbers = numbered((3, 98), 16, alignment)
    row = patches.on_pixels(numbers, (3, 98))[0]
    assert np.flatnonzero(np.diff(row, prepend=-1)).tolist() == first


def test_a_pixel_whose_centre_is_on_the_line_belongs_to_the_patch_behind_it() -> None:
    patches, numbers = numbered((5, 1), 3, Alignment.RESIZED)
    assert patches.on_pixels(numbers, (5, 1)).ravel().tolist() == [0, 0, 1, 1, 1]


def test_patches_that_do_not_cover_the_image_are_refused() -> None:
    patches, numbers = numbered((5, 9), 4, Alignment.RESIZED)
    for entries, size in ((numbers, (9, 9)), (numbers, (5, 8)), (numbers[:, 1:], (5, 8)), (numbers.T, (9, 5))):
        with pytest.raises(ValueError, match=r"patches of 4 pixels in a grid of \(\d, \d\) do not cover an image of \(\d, \d\)"):
            patches.on_pixels(entries, size)


# --- Class maps and probabilities ---


def test_class_maps_of_the_right_size_stay_as_they_are() -> None:
    maps = ClassMaps(classes=(2,), maps=np.random.default_rng(0).random((1, 5, 7), np.float32))
    assert np.array_equal(maps.resize((5, 7)).maps, maps.maps)


def test_resizing_takes_height_first_and_keeps_what_is_constant() -> None:
    maps = ClassMaps(classes=(1, 2), maps=np.stack([np.full((3, 4), value, np.float32) for value in (0.25, 1.0)]))
    resized = maps.resize((6, 10))
    assert resized.classes == (1, 2)
    assert resized.maps.shape == (2, 6, 10)
    assert np.array_equal(resized.maps[:, 0, 0], [0.25, 1.0])
    assert np.ptp(resized.maps, axis=(1, 2)).max() == 0


def test_class_maps_of_no_class_can_be_resized() -> None:
    assert ClassMaps(classes=(), maps=np.zeros((0, 3, 4), np.float32)).resize((6, 10)).maps.shape == (0, 6, 10)


def test_class_maps_are_spread_over_all_classes() -> None:
    maps = ClassMaps(classes=(1, 3), maps=np.stack([np.full((3, 4), value, np.float32) for value in (0.25, 1.0)]))
    assert maps.present(4).tolist() == [False, True, False, True, False]
    spread = maps.spread(4)
    assert spread.shape == (5, 3, 4) and spread.dtype == np.float32
    assert spread[:, 0, 0].tolist() == [0, 0.25, 0, 1, 0]
    assert np.ptp(spread, axis=(1, 2)).max() == 0


def test_class_maps_of_no_class_are_spread_to_nothing() -> None:
    maps = ClassMaps(classes=(), maps=np.zeros((0, 3, 4), np.float32))
    assert not maps.present(2).any()
    assert maps.spread(2).shape == (3, 3, 4) and not maps.spread(2).any()


def test_probabilities_are_kept_in_255ths_to_the_nearest() -> None:
    kept = Probabilities(maps=np.array([[[0, 1, 0.4981]], [[1, 0, 0.5019]]], np.float32)).parts
    assert kept.dtype == np.uint8 and kept.tolist() == [[[0, 255, 127]], [[255, 0, 128]]]
    assert np.array_equal(Probabilities.of_parts(kept).parts, kept)
    assert Probabilities.of_parts(kept).maps.dtype == np.float32 and Probabilities.of_parts(kept).maps.max() == 1


def test_resized_probabilities_still_sum_to_one() -> None:
    first = np.random.default_rng(0).random((3, 4), np.float32)
    resized = Probabilities(maps=np.stack([first, 1 - first])).resize((7, 5)).maps
    assert resized.shape == (2, 7, 5)
    assert np.allclose(resized.sum(axis=0), 1)


# --- Ranks of margins ---


def ranked(margins: list[float], labels: list[int] | None = None) -> list[int]:
    """Confidences of pixels in a row by their margins."""
    row = np.array([labels or [3] * len(margins)], np.uint8)
    found = PseudoMask(row, np.zeros_like(row)).rank_by(np.array([margins], np.float32))
    assert np.array_equal(found.labels, row) and found.confidence.dtype == np.uint8
    return [int(one) for one in found.confidence[0]]


def test_the_best_pixel_of_a_label_is_sure_and_the_worst_of_many_is_not() -> None:
    assert ranked([0.3]) == [255] and ranked([0.4, 0.1]) == [255, 127]
    assert ranked([0.2, 0.8, 0.4, 0.6]) == [64, 255, 127, 191]
    many = ranked([number / 1000 for number in range(1000)])
    assert many == sorted(many) and (many[0], many[-1]) == (0, 255)


@pytest.mark.parametrize("count", [*range(1, 12), 254, 255, 256, 510, 511, 100_000, 100_001])
def test_exactly_half_of_different_margins_are_above_a_half_rounded_up(count: int) -> None:
    margins = np.random.default_rng(count).permutation(count).astype(np.float32)
    row = np.full((1, count), 2, np.uint8)
    trusted = PseudoMask(row, row).rank_by(margins[None]).confidence[0] >= PARTS * 0.5
    assert trusted.sum() == -(-count // 2) and margins[trusted].min() == count // 2
    published = np.argsort(-margins)[: int(count * 0.5)]  # what BECO's code trusts
    assert trusted[published].all() and trusted.sum() - len(published) == count % 2


def test_equal_margins_are_equally_sure() -> None:
    assert ranked([0.5, 0.5, 0.5]) == [255] * 3 and ranked([0.5, 0.1, 0.1, 0.5]) == [255, 127, 127, 255]
    assert ranked([0.1, 0.1, 0.1, 0.5]) == [191, 191, 191, 255]


def test_each_label_is_ranked_by_itself_and_what_has_none_is_not_sure() -> None:
    assert ranked([9, 1, 8, 2, 7], [0, 4, 0, 4, 255]) == [255, 127, 127, 255, 0]
    assert ranked([3, 2], [255, 255]) == [0, 0]
