"""What every way of predicting promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed import methods
from seedbed.networks.patch_head import PatchHead
from seedbed.types import Alignment, PatchFeatures, Size, cells
from tests.support.toys import ToySegmenter

NAMES = methods.list_available("predictions")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(24, 40), (17, 33)])
def test_probabilities_sum_to_one(name: str, size: Size, small_method: Callable[[str, str], Any]) -> None:
    method = small_method("predictions", name)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    values = np.random.default_rng(1).standard_normal((*cells(size, 8), 4)).astype(np.float32)
    patches = [PatchFeatures(values, 8, Alignment.PADDED)] if method.needs_features else []
    labels = PatchHead(4, 3, widths=(5,), kernel=3, coordinates=True).eval() if method.needs_features else ToySegmenter(3).eval()
    first, second = (method.predict(labels, [image], [patches], device="cpu")[0].maps for _ in range(2))
    assert first.shape == (4, *cells(size, method.stride)) and first.dtype == np.float32
    assert first.min() >= 0
    assert np.allclose(first.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(first, second)
