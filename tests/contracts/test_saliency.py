"""What every method that finds where something is promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Evidence, PatchFeatures, Saliency
from tests.contracts.test_refinement import CLASSES, example

NAMES = methods.list_available("saliency")


def look(method: Any, known: Evidence, *, seed: int = 0) -> Saliency:
    """What a method finds, beside maps of a detector where it reads them."""
    shape = known.size
    found: Saliency = method.find(known, np.random.default_rng(seed).random(shape, np.float32) if method.reads_files else np.zeros(shape))
    return found


def same(one: Saliency, other: Saliency) -> bool:
    """Whether two images have the same saliency."""
    return np.array_equal(one.scores, other.scores) and np.array_equal(one.objects, other.objects)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("size", [(12, 20), (1, 3)])
def test_every_pixel_has_a_score_and_is_object_or_background_or_unknown(
    name: str, classes: tuple[int, ...], size: tuple[int, int], small_method: Callable[[str, str], Any]
) -> None:
    made = look(small_method("saliency", name), example(classes, size))
    assert made.scores.shape == made.objects.shape == size and made.scores.dtype == np.float32 and made.objects.dtype == np.uint8
    assert 0 <= made.scores.min() <= made.scores.max() <= 1 and np.isin(made.objects, (0, 1, 255)).all()
    assert made.parts.dtype == np.uint8 and np.array_equal(made.parts, np.rint(255 * made.scores))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, known = small_method("saliency", name), example((1, 3))
    made, random = look(method, known), np.random.default_rng(8)
    values = random.standard_normal(known.patches.values.shape).astype(np.float32)
    others = {
        "class_maps": dataclasses.replace(known, class_maps=dataclasses.replace(known.class_maps, maps=known.class_maps.maps[:, ::-1])),
        "superpixels": dataclasses.replace(known, regions=random.permuted(known.regions, axis=1)),
        "features": dataclasses.replace(known, patches=PatchFeatures(values, known.patches.patch_size, known.patches.alignment)),
    }
    for slot, other in others.items():
        assert same(made, look(method, other)) is (slot in method.unread), slot
    assert same(made, look(method, known, seed=1)) is not method.reads_files
    blind = dataclasses.replace(known, image=np.zeros((0, 0, 3), np.uint8))
    assert same(made, look(method, blind)) and same(made, look(method, known))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_without_a_correction_class_maps_are_not_read(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, known = small_method("saliency", name), example((1, 3))
    method = dataclasses.replace(method, correction=dataclasses.replace(method.correction, adds_above=1.0, doubts_below=0.0))
    made = look(method, known)
    assert "class_maps" in method.unread and np.array_equal(made.objects, made.scores > method.threshold)
