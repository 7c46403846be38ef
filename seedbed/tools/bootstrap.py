"""How far a difference between two runs may come from the choice of images: a paired bootstrap over them.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: images are drawn with replacement, the same ones for both runs; figures
are computed anew from what was counted on them; the interval has the middle share of the differences. It tells of other images of
the same kind, and nothing of another seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.scoring.metrics import Shares, intersection_over_union

Overlaps = npt.NDArray[Any]  # (image, class, intersection and union), whole numbers of whatever type
BLOCK = 2**22  # weights of images in memory at once
SEED = 0  # the same numbers each time: they are to be looked at, and no result follows from them


@dataclass(frozen=True)
class Resampling:
    """How intervals are found."""

    resamples: int = 1000
    level: float = 0.95  # share of the resamples that lie within

    @property
    def quantiles(self) -> tuple[float, float]:
        """The share of resamples that lie below either end."""
        return (1 - self.level) / 2, (1 + self.level) / 2


@dataclass(frozen=True)
class Difference:
    """A figure of two runs on the same images."""

    before: float  # NaN where there is none, as of a class that is neither there nor predicted; all that follows from it too
    after: float
    low: float  # ends of the interval of what `after` exceeds `before` by
    high: float

    @property
    def change(self) -> float:
        """What `after` exceeds `before` by."""
        return self.after - self.before

    @property
    def sure(self) -> bool:
        """Whether the interval leaves no doubt that something changed, as far as images go."""
        return self.low > 0 or self.high < 0


def compare_overlaps(before: Overlaps, after: Overlaps, how: Resampling) -> list[Difference]:
    """Mean IoU, and then the IoU of every class.

    before, after: of the same images in the same order.
    """
    both = np.stack([before, after], axis=1)  # (image, run, class, intersection and union)
    figures = _figures(both.sum(axis=0, dtype=np.int64))
    low, high = _interval(both, how)
    return [Difference(*map(float, row)) for row in zip(*figures, low, high, strict=True)]


def mean_iou(overlaps: Overlaps) -> Shares:
    """Mean over the classes that occur, the last axis but one; NaN where none does."""
    return _mean(intersection_over_union(overlaps))


def _interval(both: Overlaps, how: Resampling) -> tuple[Shares, Shares]:
    """Ends of the intervals of mean IoU and of every class."""
    images = len(both)
    if images == 0:
        nothing = np.full(1 + both.shape[2], np.nan)
        return nothing, nothing
    counts, random = both.reshape(images, -1).astype(np.float64), np.random.default_rng(SEED)
    at_once = max(1, BLOCK // images)
    changes = []
    for start in range(0, how.resamples, at_once):
        draws = range(start, min(start + at_once, how.resamples))
        weights = np.stack([np.bincount(random.integers(images, size=images), minlength=images) for _ in draws])
        totals = (weights.astype(np.float64) @ counts).reshape(len(draws), *both.shape[1:])  # exact: whole numbers below 2^53
        figures = _figures(totals)
        changes.append(figures[:, 1] - figures[:, 0])
    return _quantiles(np.concatenate(changes), how.quantiles)


def _figures(totals: Overlaps) -> Shares:
    """Mean IoU and the IoU of every class, along the last axis."""
    iou = intersection_over_union(totals)
    return np.concatenate([_mean(iou)[..., None], iou], axis=-1)


def _mean(iou: Shares) -> Shares:
    known = ~np.isnan(iou)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, iou, 0).sum(axis=-1) / known.sum(axis=-1))


def _quantiles(changes: Shares, quantiles: tuple[float, float]) -> tuple[Shares, Shares]:
    """Quantiles over the resamples, the first axis, in which there is such a figure; NaN where it is in none."""
    ends = np.full((2, changes.shape[1]), np.nan)
    known = ~np.isnan(changes)
    for column in np.flatnonzero(known.any(axis=0)):
        ends[:, column] = np.quantile(changes[known[:, column], column], quantiles)
    return ends[0], ends[1]
