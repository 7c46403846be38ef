"""Scores of superpixels: what all of them take for one image, beside making the superpixels."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.scoring.boundaries import Boundaries
from seedbed.scoring.region_scores import score_regions
from seedbed.superpixels.slic import Slic
from seedbed.types import IGNORE, Alignment, PatchFeatures

SIZE, EDGE = (375, 500), 13  # some 1,000 regions
BOUNDARIES = Boundaries(distance=2, share=0.02)
NOTHING = PatchFeatures(np.zeros((1, 1, 1), np.float32), 1, Alignment.PADDED)

if __name__ == "__main__":
    random = np.random.default_rng(0)
    coarse, things = random.integers(0, 256, (12, 16, 3), np.uint8), random.integers(0, 5, (6, 8), np.uint8)
    image = np.asarray(cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    truth = np.asarray(cv2.resize(things, SIZE[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    with_void = truth.copy()
    with_void[cv2.Canny(truth * np.uint8(50), 1, 2) > 0] = IGNORE
    slic = Slic(region_size=EDGE, smoothness=10, num_iterations=30, smallest=25)
    regions = slic.segment(image, NOTHING)
    ways = {
        "superpixels (SLIC)": lambda: slic.segment(image, NOTHING),
        "all scores": lambda: score_regions(image, regions, [truth], boundaries=BOUNDARIES),
        "all scores, truth with void": lambda: score_regions(image, regions, [with_void], boundaries=BOUNDARIES),
    }
    report(f"{SIZE[0]} x {SIZE[1]} pixels, {regions.max() + 1} regions", medians(ways), base="superpixels (SLIC)")
