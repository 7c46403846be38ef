"""How deep pixels lie in a mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from seedbed.algorithms.depths import measure_depths


def test_the_middle_is_deepest_and_nothing_is_of_the_mask_beyond_the_image() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[:, 2:] = True
    expected = [[0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 4, 4, 4, 1], [0, 0, 1, 4, 9, 4, 1], [0, 0, 1, 4, 4, 4, 1], [0, 0, 1, 1, 1, 1, 1]]
    assert measure_depths(mask).tolist() == expected
    assert not measure_depths(np.zeros((3, 4), np.bool_)).any()


@pytest.mark.parametrize("threads", [1, 2])
def test_depths_are_exact_whatever_the_number_of_threads(threads: int) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        mask = np.random.default_rng(0).random((40, 56)) < 0.9
        rows, columns = np.nonzero(~np.pad(mask, 1))
        nearest = [[min((row + 1 - rows) ** 2 + (column + 1 - columns) ** 2) for column in range(56)] for row in range(40)]
        assert measure_depths(mask).tolist() == nearest
    finally:
        cv2.setNumThreads(before)
