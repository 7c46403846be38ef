"""What every maker of pseudo masks promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import ClassMaps, Image
from tests.support.devices import answer_on_cpu

NAMES = methods.list_available("refinement")
CLASSES: list[tuple[int, ...]] = [(), (2,), (1, 3), (1, 2, 3)]


def example(classes: tuple[int, ...]) -> tuple[Image, ClassMaps]:
    """A random image with random maps."""
    random = np.random.default_rng(0)
    maps = random.random((len(classes), 12, 20), np.float32)
    return random.integers(0, 256, (12, 20, 3), dtype=np.uint8), ClassMaps(classes=classes, maps=maps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
def test_labels_are_of_the_image_s_classes_or_background_or_missing(
    name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]
) -> None:
    image, maps = example(classes)
    [made] = small_method("refinement", name).refine([image], [maps])
    for one in (made.labels, made.confidence):
        assert one.shape == (12, 20) and one.dtype == np.uint8
    assert set(np.unique(made.labels).tolist()) <= {0, *classes, 255}
    assert not made.confidence[made.labels == 255].any()


@pytest.mark.parametrize("name", NAMES)
def test_of_an_image_without_a_class_everything_is_sure(name: str, small_method: Callable[[str, str], Any]) -> None:
    image, maps = example(())
    [made] = small_method("refinement", name).refine([image], [maps])
    assert (made.confidence == 255).all()


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_nothing_become_no_class(name: str, small_method: Callable[[str, str], Any]) -> None:
    image, _ = example(())
    nothing = ClassMaps(classes=(1, 2), maps=np.zeros((2, 12, 20), np.float32))
    [made] = small_method("refinement", name).refine([image], [nothing])
    assert set(np.unique(made.labels).tolist()) <= {0, 255}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_labels_and_stays_as_it_is(name: str, small_method: Callable[[str, str], Any]) -> None:
    image, maps = example((1, 3))
    method = small_method("refinement", name)
    [one], [again] = method.refine([image], [maps]), method.refine([image], [maps])
    assert np.array_equal(one.labels, again.labels) and np.array_equal(one.confidence, again.confidence)
    original_image, original_maps = example((1, 3))
    assert np.array_equal(image, original_image) and np.array_equal(maps.maps, original_maps.maps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_company_changes_nothing(name: str, device: str, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer_on_cpu(monkeypatch)
    method, whole = small_method("refinement", name), [example(classes) for classes in CLASSES]
    images = [image[:height, :width] for (image, _), height, width in zip(whole, (12, 7, 12, 3), (20, 20, 13, 1), strict=True)]
    maps = [ClassMaps(one.classes, one.maps[:, : len(image), : len(image[0])]) for image, (_, one) in zip(images, whole, strict=True)]
    together = method.refine(images, maps, device=device)
    for image, one, made in zip(images, maps, together, strict=True):
        [alone] = method.refine([image], [one], device=device)
        assert np.array_equal(made.labels, alone.labels) and made.labels.shape == image.shape[:2]
        assert np.allclose(made.confidence.astype(int), alone.confidence, atol=1)
    assert method.refine([], [], device=device) == []
