"""Intervals over images: the same as written down plainly, the same each time, and nothing where nothing is known."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pytest

from seedbed.tools import bootstrap
from seedbed.tools.bootstrap import SEED, Resampling, compare_overlaps, mean_iou

# Intersections and unions of three classes in four images; the last class is in two of them, and in the first run in one.
BEFORE = np.array([[[4, 6], [1, 5], [0, 0]], [[3, 9], [2, 4], [0, 0]], [[5, 5], [0, 0], [0, 2]], [[2, 7], [3, 3], [0, 0]]], np.int32)
AFTER = np.array([[[5, 6], [2, 4], [0, 0]], [[3, 8], [2, 5], [0, 0]], [[4, 5], [0, 0], [1, 2]], [[2, 7], [3, 4], [0, 1]]], np.int32)


def plain_figures(images: list[npt.NDArray[np.int32]]) -> list[float]:
    """Mean IoU and every class's, class by class."""
    iou = []
    for index in range(3):
        intersection, union = (sum(int(one[index, part]) for one in images) for part in (0, 1))
        iou.append(intersection / union if union else math.nan)
    return [fmean(one for one in iou if not math.isnan(one)), *iou]


def test_the_same_as_a_loop_over_resamples() -> None:
    random, changes = np.random.default_rng(SEED), []
    for _ in range(60):
        drawn = random.integers(4, size=4)
        before, after = (plain_figures([run[one] for one in drawn]) for run in (BEFORE, AFTER))
        changes.append([there - here for here, there in zip(before, after, strict=True)])
    found = compare_overlaps(BEFORE, AFTER, Resampling(resamples=60, level=0.9))
    for index, one in enumerate(found):
        known = [change[index] for change in changes if not math.isnan(change[index])]
        assert (one.before, one.after) == pytest.approx((plain_figures([*BEFORE])[index], plain_figures([*AFTER])[index]))
        assert (one.low, one.high) == pytest.approx(tuple(np.quantile(known, [0.05, 0.95])))
        assert one.change == pytest.approx(one.after - one.before)
    assert any(math.isnan(change[3]) for change in changes), "some resamples lack the last class"


def test_memory_is_bounded_and_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = compare_overlaps(BEFORE, AFTER, Resampling(resamples=7))
    monkeypatch.setattr(bootstrap, "BLOCK", 8)
    assert compare_overlaps(BEFORE, AFTER, Resampling(resamples=7)) == at_once


def test_images_are_drawn_for_both_runs_alike() -> None:
    """Where every image changes by the same share, no choice of images changes that."""
    before = np.array([[[n, 4 * n], [0, n]] for n in (1, 5, 9)])
    mean, background, cat = compare_overlaps(before, before * [[[2, 1]]], Resampling(resamples=20))
    assert (background.low, background.change, background.high) == (0.25, 0.25, 0.25)
    assert (mean.low, mean.high) == (0.125, 0.125)
    assert (cat.low, cat.high) == (0, 0)
    assert background.sure and mean.sure and not cat.sure


def test_a_higher_level_is_a_wider_interval() -> None:
    narrow, wide = (compare_overlaps(BEFORE, AFTER, Resampling(resamples=200, level=level))[0] for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_nothing_is_said_of_a_class_that_is_nowhere_or_of_no_images() -> None:
    for found in (compare_overlaps(BEFORE[:2], BEFORE[:2], Resampling(5))[3:], compare_overlaps(BEFORE[:0], AFTER[:0], Resampling(5))):
        for one in found:
            assert np.isnan([one.before, one.after, one.change, one.low, one.high]).all()
            assert not one.sure


def test_the_mean_is_over_classes_that_occur() -> None:
    assert mean_iou(BEFORE).tolist() == pytest.approx([(4 / 6 + 1 / 5) / 2, (3 / 9 + 2 / 4) / 2, (1 + 0) / 2, (2 / 7 + 1) / 2])
    assert np.isnan(mean_iou(np.zeros((1, 2, 2), np.int32))).all()
