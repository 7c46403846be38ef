"""What every labeller of confident pixels promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Alignment, ClassMaps, PatchFeatures, RegionMap

NAMES = methods.list_available("seeds")
CLASSES: list[tuple[int, ...]] = [(), (2,), (1, 3), (1, 2, 3)]


def example(classes: tuple[int, ...]) -> tuple[ClassMaps, RegionMap, PatchFeatures]:
    """Random maps, whose maximum is 1, random regions, and random features."""
    random = np.random.default_rng(0)
    maps = random.random((len(classes), 6, 10), np.float32)
    if classes:
        maps /= maps.max(axis=(1, 2), keepdims=True)
    regions = np.concatenate([np.arange(4), random.integers(0, 4, 56)]).reshape(6, 10).astype(np.int32)
    values = random.standard_normal((2, 3, 4)).astype(np.float32)
    return ClassMaps(classes=classes, maps=maps), regions, PatchFeatures(values, 4, Alignment.PADDED)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
def test_labels_are_of_the_image_s_classes_or_background_or_missing(
    name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]
) -> None:
    labels = small_method("seeds", name).label(*example(classes))
    assert labels.shape == (6, 10) and labels.dtype == np.uint8
    assert set(np.unique(labels).tolist()) <= {0, *classes, 255}


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_nothing_are_no_seeds_of_a_class(name: str, small_method: Callable[[str, str], Any]) -> None:
    _, regions, patches = example((1,))
    labels = small_method("seeds", name).label(ClassMaps(classes=(1,), maps=np.zeros((1, 6, 10), np.float32)), regions, patches)
    assert set(np.unique(labels).tolist()) <= {0, 255}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_labels_and_stays_as_it_is(name: str, small_method: Callable[[str, str], Any]) -> None:
    known, original = example((1, 3)), example((1, 3))
    method = small_method("seeds", name)
    assert np.array_equal(method.label(*known), method.label(*known))
    assert np.array_equal(known[0].maps, original[0].maps) and np.array_equal(known[1], original[1])
    assert np.array_equal(known[2].values, original[2].values)


@pytest.mark.parametrize("name", NAMES)
def test_whether_regions_are_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, (maps, regions, patches) = small_method("seeds", name), example((1, 3))
    reads = not np.array_equal(method.label(maps, regions, patches), method.label(maps, np.zeros_like(regions), patches))
    assert method.needs_regions is reads
