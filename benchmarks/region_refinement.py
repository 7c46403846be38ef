"""Dense CRF for superpixels: what it saves that regions far apart share a channel, against a channel for each region."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from benchmarks.refinement import HEIGHT, WIDTH, photograph, use_preset
from seedbed.algorithms import ward
from seedbed.types import Image

PATCH, COUNTS, CERTAINTY = 14, (10, 30, 80), 0.7
CRF = use_preset("superpixels")


def group(image: Image, count: int) -> npt.NDArray[np.int32]:
    """Regions of patches of like colour, on pixels."""
    grid = -(-HEIGHT // PATCH), -(-WIDTH // PATCH)
    colours = cv2.resize(image, grid[::-1], interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    regions = ward.merge(colours, ward.link_grid(grid)).cut(count).reshape(grid)
    return regions.repeat(PATCH, axis=0).repeat(PATCH, axis=1)[:HEIGHT, :WIDTH]


def refine(image: Image, regions: npt.NDArray[np.int32], *, count: int) -> npt.NDArray[np.int32]:
    """As superpixels are refined."""
    return CRF.labels(image, regions, count=count, certainty=CERTAINTY)


def refine_each(image: Image, regions: npt.NDArray[np.int32], *, count: int) -> npt.NDArray[np.int32]:
    """With a channel for each region."""
    beliefs = np.where(regions == np.arange(count)[:, None, None], CERTAINTY, (1 - CERTAINTY) / (count - 1)).astype(np.float32)
    return np.asarray(CRF.probabilities([image], [beliefs])[0].argmax(axis=0), np.int32)


if __name__ == "__main__":
    image = photograph(0)
    for count in COUNTS:
        regions = group(image, count)
        differing = (refine(image, regions, count=count) != refine_each(image, regions, count=count)).mean()
        ways = {
            "shared channels": lambda regions=regions, count=count: refine(image, regions, count=count),
            "a channel for each region": lambda regions=regions, count=count: refine_each(image, regions, count=count),
        }
        title = f"dense CRF of {count} regions, {HEIGHT} x {WIDTH}, {CRF.iterations} iterations; {differing:.3%} of the pixels differ"
        report(title, medians(ways, rounds=3), base="shared channels")
