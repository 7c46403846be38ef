"""Sizes of grids, and maps that change size."""

from __future__ import annotations

import numpy as np
import pytest

from seedbed.types import ClassMaps, Probabilities, cells


@pytest.mark.parametrize(
    ("size", "edge", "expected"), [((16, 24), 8, (2, 3)), ((17, 24), 8, (3, 3)), ((1, 9), 8, (1, 2)), ((5, 7), 1, (5, 7))]
)
def test_cells_cover_the_image(size: tuple[int, int], edge: int, expected: tuple[int, int]) -> None:
    assert cells(size, edge) == expected


def test_class_maps_of_the_right_size_stay_as_they_are() -> None:
    maps = ClassMaps(classes=(2,), maps=np.random.default_rng(0).random((1, 5, 7), np.float32))
    assert np.array_equal(maps.resized((5, 7)).maps, maps.maps)


def test_resizing_takes_height_first_and_keeps_what_is_constant() -> None:
    maps = ClassMaps(classes=(1, 2), maps=np.stack([np.full((3, 4), value, np.float32) for value in (0.25, 1.0)]))
    resized = maps.resized((6, 10))
    assert resized.classes == (1, 2)
    assert resized.maps.shape == (2, 6, 10)
    assert np.array_equal(resized.maps[:, 0, 0], [0.25, 1.0])
    assert np.ptp(resized.maps, axis=(1, 2)).max() == 0


def test_class_maps_of_no_class_can_be_resized() -> None:
    assert ClassMaps(classes=(), maps=np.zeros((0, 3, 4), np.float32)).resized((6, 10)).maps.shape == (0, 6, 10)


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
    resized = Probabilities(maps=np.stack([first, 1 - first])).resized((7, 5)).maps
    assert resized.shape == (2, 7, 5)
    assert np.allclose(resized.sum(axis=0), 1)
