"""What every labeller of confident pixels promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Alignment, ClassMaps, Evidence, PatchFeatures
from tests.support.evidence import NO_EDGES, NO_PIXELS

NAMES = methods.list_available("seeds")
CLASSES: list[tuple[int, ...]] = [(), (2,), (1, 3), (1, 2, 3)]


def example(classes: tuple[int, ...]) -> Evidence:
    """A random image, random maps, whose maximum is 1, random regions, and random features."""
    random = np.random.default_rng(0)
    maps = random.random((len(classes), 6, 10), np.float32)
    if classes:
        maps /= maps.max(axis=(1, 2), keepdims=True)
    regions = np.concatenate([np.arange(4), random.integers(0, 4, 56)]).reshape(6, 10).astype(np.int32)
    values = random.standard_normal((2, 3, 4)).astype(np.float32)
    image = random.integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return Evidence(image, ClassMaps(classes=classes, maps=maps), regions, PatchFeatures(values, 4, Alignment.PADDED), NO_EDGES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
def test_labels_are_of_the_image_s_classes_or_background_or_missing(
    name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]
) -> None:
    labels = small_method("seeds", name).label(example(classes))
    assert labels.shape == (6, 10) and labels.dtype == np.uint8
    assert set(np.unique(labels).tolist()) <= {0, *classes, 255}


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_nothing_are_no_seeds_of_a_class(name: str, small_method: Callable[[str, str], Any]) -> None:
    nothing = ClassMaps(classes=(1,), maps=np.zeros((1, 6, 10), np.float32))
    labels = small_method("seeds", name).label(dataclasses.replace(example((1,)), class_maps=nothing))
    assert set(np.unique(labels).tolist()) <= {0, 255}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_labels_and_stays_as_it_is(name: str, small_method: Callable[[str, str], Any]) -> None:
    known, original = example((1, 3)), example((1, 3))
    method = small_method("seeds", name)
    assert np.array_equal(method.label(known), method.label(known))
    assert np.array_equal(known.image, original.image) and np.array_equal(known.class_maps.maps, original.class_maps.maps)
    assert np.array_equal(known.regions, original.regions) and np.array_equal(known.patches.values, original.patches.values)


@pytest.mark.parametrize("name", NAMES)
def test_whether_regions_and_images_are_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, known = small_method("seeds", name), example((1, 3))
    made = method.label(known)
    assert method.needs_regions is not np.array_equal(made, method.label(dataclasses.replace(known, regions=np.zeros_like(known.regions))))
    if not method.sees_images:
        assert np.array_equal(made, method.label(dataclasses.replace(known, image=NO_PIXELS)))
    else:
        assert not np.array_equal(made, method.label(dataclasses.replace(known, image=np.zeros_like(known.image))))


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_a_lower_resolution_are_enlarged(name: str, small_method: Callable[[str, str], Any]) -> None:
    known, method = example((1, 3)), small_method("seeds", name)
    coarse = ClassMaps(classes=(1, 3), maps=known.class_maps.maps[:, ::2, ::2].copy())
    made = [method.label(dataclasses.replace(known, class_maps=maps)) for maps in (coarse, coarse.resize((6, 10)))]
    assert np.array_equal(*made)
