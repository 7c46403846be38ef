"""Regions of all sizes, read from their artifact."""

from __future__ import annotations

import numpy as np

from seedbed.merge_trees import Trees


def test_without_trees_all_of_an_image_is_one_region() -> None:
    regions = Trees(None).of("any", (5, 9))
    assert regions.patches.shape == (5, 9) and not regions.patches.any()
    assert regions.sizes.tolist() == [1] and regions.mask([0]).all()
    assert np.array_equal(regions.count(np.ones((5, 9), np.bool_)), [45]) and Trees(None).key("any") == ""
