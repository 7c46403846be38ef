"""Scores of superpixels of a single image: how they fit each annotator's segments, and what they are like without any truth.

Papers: Schick et al., "Measuring and Evaluating the Compactness of Superpixels", ICPR 2012; Moore et al., "Superpixel Lattices", CVPR
2008, for explained variation. The others are those of the Seoul National University dissertation of 2022. With several annotators, each is
the truth by itself, and the scores are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from seedbed.scoring import metrics
from seedbed.scoring.boundaries import Boundaries, FilledTruth
from seedbed.types import Image, LabelMap, RegionMap

NO_FIGURE = float("nan")


@dataclass(frozen=True)
class Fit:
    """How regions fit a truth; NaN where there is nothing to be shared."""

    undersegmentation_error: float  # paper: UE
    boundary_recall: float  # paper: BR
    boundary_precision: float  # paper: BP
    achievable_segmentation_accuracy: float  # paper: ASA


@dataclass(frozen=True)
class RegionScores:
    """All scores of the regions of an image."""

    count: int
    compactness: float
    explained_variation: float
    fits: tuple[Fit, ...]  # one for each annotator

    @property
    def mean_fit(self) -> Fit:
        """Mean over annotators; one who has no figure is left out of its mean."""
        return Fit(*(metrics.mean(column) for column in np.array([astuple(fit) for fit in self.fits], np.float64).T))


def score_regions(image: Image, regions: RegionMap, annotations: Sequence[LabelMap], *, boundaries: Boundaries) -> RegionScores:
    """Score the regions of an image.

    annotations: each annotator's classes or segments; at least one; 255 where there is none.
    """
    return RegionScores(
        count=int(regions.max()) + 1,
        compactness=measure_compactness(regions),
        explained_variation=measure_explained_variation(image, regions),
        fits=tuple(measure_fit(regions, truth, boundaries=boundaries) for truth in annotations),
    )


def measure_fit(regions: RegionMap, truth: LabelMap, *, boundaries: Boundaries) -> Fit:
    """How regions fit the classes or segments of one annotator."""
    agreeing, leaking, total = metrics.region_overlap(regions, truth).tolist()
    recalled, true, precise, drawn = boundaries.found(regions, FilledTruth.of(truth)).tolist()
    return Fit(
        undersegmentation_error=_share(leaking, total),
        boundary_recall=_share(recalled, true),
        boundary_precision=_share(precise, drawn),
        achievable_segmentation_accuracy=_share(agreeing, total),
    )


def measure_compactness(regions: RegionMap) -> float:
    """Area of regions against that of a circle of their perimeter, weighted by their areas (paper: CO).

    The perimeter runs along sides of pixels, the border of the image included, so a square has pi / 4, and nothing has more.
    """
    count = int(regions.max()) + 1
    sides = np.zeros(count, np.int64)
    for lines in (regions, regions.T):
        differs = lines[1:] != lines[:-1]
        beside = (lines[1:][differs], lines[:-1][differs], lines[0], lines[-1])
        sides += np.bincount(np.concatenate(beside), minlength=count)
    areas = np.bincount(regions.ravel(), minlength=count)
    return float((areas * (4 * math.pi * areas / sides**2)).sum() / regions.size)


def measure_explained_variation(image: Image, regions: RegionMap) -> float:
    """Share of the variance of colours that the mean colours of regions have (paper: R^2); NaN for an image of one colour."""
    places = regions.ravel()
    areas = np.bincount(places)
    total = explained = 0.0
    for channel in np.moveaxis(image, -1, 0).reshape(image.shape[-1], -1):
        values = channel.astype(np.float64)
        values -= values.mean()
        total += float(values @ values)
        explained += float((np.bincount(places, weights=values) ** 2 / areas).sum())
    return explained / total if total else NO_FIGURE


def _share(part: int, whole: int) -> float:
    return part / whole if whole else NO_FIGURE
