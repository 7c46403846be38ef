"""Methods that are quicker on a GPU make the same there. Without one, what they ask of it is answered on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.types import Alignment, ClassMaps, Evidence, PatchFeatures, Probabilities
from tests.support.devices import answer_on_cpu
from tests.support.oracles import cell_edges, photograph

FAMILIES = ("superpixels", "seeds", "refinement", "instances", "evaluation")
NAMES = [(family, name) for family in FAMILIES for name in methods.list_available(family)]
SIZE = (16, 24)
RANDOM = np.random.default_rng(1)
IMAGE = photograph(SIZE)
MAPS = RANDOM.random((2, *SIZE), np.float32)
REGIONS = np.repeat(np.arange(6, dtype=np.int32), 4)[None].repeat(16, 0)
EDGES = cell_edges(SIZE, 2)
PATCHES = PatchFeatures(RANDOM.standard_normal((4, 6, 5)).astype(np.float32), 4, Alignment.PADDED)


def work(family: str, method: Any, **options: str) -> list[Any]:
    """What a method's verb makes."""
    if family == "superpixels":
        return [method.partition(IMAGE, PATCHES, **options)]
    known = Evidence(IMAGE, ClassMaps(classes=(1, 4), maps=MAPS), REGIONS, PATCHES, EDGES)
    if family == "seeds":
        return [method.label(known, **options)]
    if family == "refinement":
        return [one.labels for one in method.refine([known], **options)]
    if family == "instances":
        return [one.things for one in method.part([known], **options)]
    [labels] = method.from_probabilities([IMAGE], [Probabilities(maps=MAPS / MAPS.sum(axis=0))], **options)
    return [*labels.values()]


@pytest.mark.parametrize(("family", "name"), NAMES)
def test_a_gpu_is_asked_where_a_method_says_so_and_makes_the_same(
    family: str, name: str, small_method: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer_on_cpu(monkeypatch)
    method = small_method(family, name)
    expected = work(family, method)
    assert asked == [], "nothing is asked of a GPU without need"
    made = work(family, method, device="cuda")
    assert set(asked) == ({"cuda"} if method.uses_gpu else set())
    assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))
