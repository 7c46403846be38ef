"""What every maker of pseudo masks promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Alignment, CellEdges, ClassMaps, Evidence, PatchFeatures, Size, cells
from tests.support.devices import answer_on_cpu
from tests.support.oracles import cell_edges

NAMES = methods.list_available("refinement")
CLASSES: list[tuple[int, ...]] = [(), (2,), (1, 3), (1, 2, 3)]


def example(classes: tuple[int, ...], size: Size = (12, 20)) -> Evidence:
    """A random image with random maps, regions and features."""
    random = np.random.default_rng(0)
    height, width = size
    maps = random.random((len(classes), 12, 20), np.float32)[:, :height, :width]
    image = random.integers(0, 256, (12, 20, 3), dtype=np.uint8)[:height, :width]
    regions = random.integers(0, 4, (12, 20))[:height, :width]
    values = random.standard_normal((*cells(size, 4), 3)).astype(np.float32)
    numbered = np.unique(regions, return_inverse=True)[1].reshape(size).astype(np.int32)
    patches = PatchFeatures(values, 4, Alignment.PADDED)
    return Evidence(image, ClassMaps(classes=classes, maps=maps), numbered, patches, cell_edges(size, 2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
def test_labels_are_of_the_image_s_classes_or_background_or_missing(
    name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]
) -> None:
    [made] = small_method("refinement", name).refine([example(classes)])
    for one in (made.labels, made.confidence):
        assert one.shape == (12, 20) and one.dtype == np.uint8
    assert set(np.unique(made.labels).tolist()) <= {0, *classes, 255}
    assert not made.confidence[made.labels == 255].any()


@pytest.mark.parametrize("name", NAMES)
def test_of_an_image_without_a_class_everything_is_sure(name: str, small_method: Callable[[str, str], Any]) -> None:
    [made] = small_method("refinement", name).refine([example(())])
    assert (made.confidence == 255).all()


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_nothing_become_no_class(name: str, small_method: Callable[[str, str], Any]) -> None:
    nothing = ClassMaps(classes=(1, 2), maps=np.zeros((2, 12, 20), np.float32))
    [made] = small_method("refinement", name).refine([dataclasses.replace(example(()), class_maps=nothing)])
    assert set(np.unique(made.labels).tolist()) <= {0, 255}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_labels_and_stays_as_it_is(name: str, small_method: Callable[[str, str], Any]) -> None:
    known, original = example((1, 3)), example((1, 3))
    method = small_method("refinement", name)
    [one], [again] = method.refine([known]), method.refine([known])
    assert np.array_equal(one.labels, again.labels) and np.array_equal(one.confidence, again.confidence)
    assert np.array_equal(known.image, original.image) and np.array_equal(known.class_maps.maps, original.class_maps.maps)
    assert np.array_equal(known.regions, original.regions) and np.array_equal(known.patches.values, original.patches.values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_company_changes_nothing(name: str, device: str, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer_on_cpu(monkeypatch)
    method, sizes = small_method("refinement", name), [(12, 20), (7, 20), (12, 13), (3, 1)]
    known = [example(classes, size) for classes, size in zip(CLASSES, sizes, strict=True)]
    for one, made in zip(known, method.refine(known, device=device), strict=True):
        [alone] = method.refine([one], device=device)
        assert np.array_equal(made.labels, alone.labels) and made.labels.shape == one.image.shape[:2]
        assert np.allclose(made.confidence.astype(int), alone.confidence, atol=1)
    assert method.refine([], device=device) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, known = small_method("refinement", name), example((1, 3))
    edges = known.edges
    others = {
        "superpixels": dataclasses.replace(known, regions=np.zeros_like(known.regions)),
        "features": dataclasses.replace(known, patches=PatchFeatures(-known.patches.values[::-1], 4, Alignment.PADDED)),
        "edges": dataclasses.replace(known, edges=CellEdges(edges.boundaries[::-1], edges.displacement, edges.distances[:, ::-1], 2)),
    }
    [made] = method.refine([known])
    for slot, other in others.items():
        same = all(np.array_equal(made.confidence, one.confidence) for one in method.refine([other]))
        assert same is (slot in method.unread), slot
