"""Saliency that is not looked for."""

from __future__ import annotations

import numpy as np

from seedbed.saliency.none import Nothing
from seedbed.types import ClassMaps
from tests.support.evidence import evidence


def test_the_whole_of_it_is_nothing() -> None:
    method = Nothing()
    assert method.unread == ("class_maps", "superpixels", "features") and method.makes_nothing and not method.reads_files
    known = evidence(np.zeros((3, 5, 3), np.uint8), ClassMaps(classes=(1,), maps=np.ones((1, 3, 5), np.float32)))
    made = method.find(known, np.ones((3, 5), np.float32))
    assert made.scores.shape == (3, 5) and not made.scores.any() and (made.objects == 255).all()
