"""What every method that tells things apart promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import CellEdges, Instances
from tests.contracts.test_refinement import CLASSES, example
from tests.support.devices import answer_on_cpu

NAMES = methods.list_available("instances")


def same(one: Instances, other: Instances) -> bool:
    """Whether two images have the same things."""
    return np.array_equal(one.things, other.things) and one.classes == other.classes and np.allclose(one.scores, other.scores, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", CLASSES)
def test_things_are_of_the_image_s_classes_the_surest_first(
    name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]
) -> None:
    method = small_method("instances", name)
    [made] = method.part([example(classes)])
    assert made.things.shape == (12, 20) and made.things.dtype == np.uint8
    assert np.unique(made.things[made.things > 0]).tolist() == [*range(1, 1 + len(made.classes))]
    assert set(made.classes) <= {*classes} and len(made.scores) == len(made.classes) <= method.extents["instance"]
    assert list(made.scores) == sorted(made.scores, reverse=True) and all(0 <= one <= 1 for one in made.scores)
    assert all(isinstance(one, int) for one in made.classes) and all(isinstance(one, float) for one in made.scores)
    assert bool(made.classes) == bool(classes and method.extents["instance"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_company_changes_nothing(name: str, device: str, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer_on_cpu(monkeypatch)
    method, sizes = small_method("instances", name), [(12, 20), (7, 20), (12, 13), (3, 1)]
    known = [example(classes, size) for classes, size in zip(CLASSES, sizes, strict=True)]
    for one, made in zip(known, method.part(known, device=device), strict=True):
        assert same(made, method.part([one], device=device)[0]) and made.things.shape == one.size
    assert method.part([], device=device) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_the_method_says(name: str, small_method: Callable[[str, str], Any]) -> None:
    method, known = small_method("instances", name), example((1, 3))
    edges, [made] = known.edges, method.part([known])
    others = {
        "class_maps": dataclasses.replace(known, class_maps=dataclasses.replace(known.class_maps, maps=known.class_maps.maps[::-1])),
        "superpixels": dataclasses.replace(known, regions=np.zeros_like(known.regions)),
        "edges": dataclasses.replace(known, edges=CellEdges(edges.boundaries[::-1], 9 * edges.displacement, edges.distances, 2)),
    }
    for slot, other in others.items():
        assert same(made, method.part([other])[0]) is (slot in method.unread), slot
    blind = dataclasses.replace(known, image=np.zeros((0, 0, 3), np.uint8))
    assert same(made, method.part([blind])[0]) and np.array_equal(known.class_maps.maps, example((1, 3)).class_maps.maps)
