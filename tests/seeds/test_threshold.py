"""Two thresholds: what is high is foreground, what is low is background, what lies between is open."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from seedbed.seeds.threshold import Threshold
from seedbed.types import ClassMaps
from tests.support.evidence import scored

MAPS = ClassMaps(classes=(2, 5), maps=np.array([[[0.9, 0.3, 0.1, 0.5]], [[0.2, 0.6, 0.1, 0.5]]], np.float32))
NOWHERE = np.zeros((1, 4), np.int32)


def label(foreground: float, background: float, maps: ClassMaps = MAPS) -> list[int]:
    labels: list[int] = Threshold(foreground=foreground, background=background).label(scored(maps, NOWHERE))[0].tolist()
    return labels


def test_high_low_and_between() -> None:
    assert label(0.5, 0.1) == [2, 5, 0, 255]
    assert label(0.5, 0.5) == [2, 5, 0, 0]
    assert label(0.45, 0.05) == [2, 5, 255, 2]  # the first of two classes that are equally strong


def test_a_higher_threshold_leaves_a_subset() -> None:
    random = np.random.default_rng(0)
    maps = ClassMaps(classes=(1, 3), maps=random.random((2, 9, 11), np.float32))
    before = np.ones((9, 11), bool)
    for foreground in (0.3, 0.6, 0.9, 0.999):
        labels = Threshold(foreground=foreground, background=0.2).label(scored(maps, np.zeros((9, 11), np.int32)))
        confident = (labels != 255) & (labels != 0)
        assert not (confident & ~before).any()
        before = confident


def test_an_image_without_classes_is_background() -> None:
    assert label(0.5, 0.1, ClassMaps(classes=(), maps=np.zeros((0, 1, 4), np.float32))) == [0, 0, 0, 0]


def test_thresholds_in_the_wrong_order() -> None:
    with pytest.raises(ValidationError, match=r"no more than foreground, which is 0\.2"):
        label(0.2, 0.3)


# --- As a whole ---


def test_the_whole_written_down_pixel_by_pixel() -> None:
    maps = ClassMaps(classes=(1, 4, 6), maps=np.random.default_rng(1).random((3, 9, 11), np.float32) ** 2)
    expected = np.full((9, 11), 255)
    for y, x in np.ndindex(9, 11):
        values = [float(one[y, x]) for one in maps.maps]
        if max(values) > 0.64:
            expected[y, x] = maps.classes[values.index(max(values))]
        elif max(values) <= 0.23:
            expected[y, x] = 0
    assert set(np.unique(expected).tolist()) == {0, 1, 4, 6, 255}
    assert np.array_equal(Threshold(foreground=0.64, background=0.23).label(scored(maps, np.zeros((9, 11), np.int32))), expected)
