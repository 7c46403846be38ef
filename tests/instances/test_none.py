"""Things that are not told apart."""

from __future__ import annotations

import numpy as np

from seedbed.instances.none import Nothing
from seedbed.types import ClassMaps
from tests.support.evidence import evidence


def test_the_whole_of_it_is_nothing() -> None:
    method = Nothing()
    assert method.unread == ("class_maps", "superpixels", "edges") and method.extents == {"instance": 0} and not method.uses_gpu
    maps = ClassMaps(classes=(1,), maps=np.ones((1, 3, 5), np.float32))
    [made] = method.part([evidence(np.zeros((3, 5, 3), np.uint8), maps)])
    assert made.things.shape == (3, 5) and not made.things.any() and made.classes == made.scores == ()
