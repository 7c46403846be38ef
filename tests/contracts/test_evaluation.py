"""What everything that makes labels of scores promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.evaluation import PREDICTED
from seedbed.types import ClassMaps, Probabilities
from tests.support.devices import answer_on_cpu

NAMES = methods.list_available("evaluation")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [(), (2,), (1, 3)])
def test_labels_of_class_maps_are_of_their_classes(name: str, classes: tuple[int, ...], small_method: Callable[[str, str], Any]) -> None:
    maps = np.random.default_rng(0).random((len(classes), 6, 10), np.float32)
    labels = small_method("evaluation", name).from_class_maps(ClassMaps(classes=classes, maps=maps))
    assert labels.shape == (6, 10) and labels.dtype == np.uint8
    assert set(np.unique(labels).tolist()) <= {0, *classes, 255}


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_probabilities_have_a_name_each(name: str, small_method: Callable[[str, str], Any]) -> None:
    random = np.random.default_rng(0)
    maps = random.random((4, 12, 20), np.float32)
    image = random.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    [kinds] = small_method("evaluation", name).from_probabilities([image], [Probabilities(maps=maps / maps.sum(axis=0))])
    assert tuple(kinds) == PREDICTED
    for labels in kinds.values():
        assert labels.shape == (12, 20) and labels.dtype == np.uint8
        assert set(np.unique(labels).tolist()) <= {0, 1, 2, 3, 255}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_company_changes_no_label(name: str, device: str, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer_on_cpu(monkeypatch)
    method, random = small_method("evaluation", name), np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((12, 20), (7, 9))]
    drawn = [random.random((4, *image.shape[:2]), np.float32) ** 3 for image in images]
    probabilities = [Probabilities(maps=one / one.sum(axis=0)) for one in drawn]
    together = method.from_probabilities(images, probabilities, device=device)
    for image, one, made in zip(images, probabilities, together, strict=True):
        [alone] = method.from_probabilities([image], [one], device=device)
        assert made.keys() == alone.keys() and all(np.array_equal(made[kind], alone[kind]) for kind in made)
    assert method.from_probabilities([], [], device=device) == []


@pytest.mark.parametrize("name", NAMES)
def test_thresholds_of_class_maps_are_declared(name: str, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("evaluation", name)
    assert 0 <= method.threshold <= 1
    assert method.sweep.thresholds.tolist() == sorted(set(method.sweep.thresholds.tolist()))
    sizes = len(method.size_bounds)
    assert method.extents((40, 48)) == {"threshold": len(method.sweep.thresholds), "thing_size": sizes + 1, "size_bound": sizes}
