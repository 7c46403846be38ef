"""What everything that makes class maps promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from seedbed import methods
from seedbed.types import Alignment, ClassMaps, Image, PatchFeatures, Size, cells
from tests.support.learning import linear_head
from tests.support.toys import ToyClassifier

NAMES = methods.list_available("cams")


def image(size: Size) -> Image:
    """A random image."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def compute(method: Any, picture: Image, classes: tuple[int, ...]) -> tuple[ClassMaps, npt.NDArray[np.float32]]:
    """Class maps and scores of an image, seen by whatever the method wants."""
    grid = cells((picture.shape[0], picture.shape[1]), 8)
    values = np.random.default_rng(1).standard_normal((*grid, 4)).astype(np.float32)
    sees = linear_head() if method.needs_features else ToyClassifier(3).eval()
    maps, scores = method.compute(sees, [picture], [[PatchFeatures(values, 8, Alignment.PADDED)]], [classes], device="cpu")[0]
    return maps, scores


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(24, 40), (17, 33)])
@pytest.mark.parametrize("classes", [(), (2,), (1, 3)])
def test_maps_are_of_the_classes_given(name: str, size: Size, classes: tuple[int, ...], small_method: Callable[[str, str], Any]) -> None:
    method = small_method("cams", name)
    maps, scores = compute(method, image(size), classes)
    assert maps.classes == classes
    assert maps.maps.shape == (len(classes), *cells(size, method.stride))
    assert maps.maps.dtype == np.float32
    assert ((maps.maps >= 0) & (maps.maps <= 1)).all()
    assert scores.shape == (4,) and scores.dtype == np.float32
    assert scores[0] == 0 and ((scores[1:] > 0) & (scores[1:] < 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_maps(name: str, small_method: Callable[[str, str], Any]) -> None:
    first, second = (compute(small_method("cams", name), image((17, 33)), (1, 3)) for _ in range(2))
    assert np.array_equal(first[0].maps, second[0].maps) and np.array_equal(first[1], second[1])
