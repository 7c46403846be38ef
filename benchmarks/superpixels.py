"""Discovery of superpixels: what the search costs beyond the similarity matrix that it needs anyway."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.superpixels.dino import discover

PATCHES, CHANNELS, REGIONS = 3136, 768, 300  # a 448-pixel image under ViT-B/8
THRESHOLD = 0.3


def vectors() -> npt.NDArray[np.float32]:
    """Clusters of unequal size, with noise."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(REGIONS, CHANNELS))
    shares = random.dirichlet(np.full(REGIONS, 0.5))
    drawn = centres[random.choice(REGIONS, size=PATCHES, p=shares)]
    return np.asarray(drawn + 0.8 * random.normal(size=drawn.shape), np.float32)


def similarity(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The matrix alone."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T, np.float32)


def transcribed(features: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """The published pseudocode, word for word: degrees are summed anew for every region."""
    matrix = similarity(features)
    related = (matrix > 0).astype(np.float32)
    regions, left, count = np.full(len(features), -1, np.int32), np.arange(len(features)), 0
    while len(left):
        seed = left[related[np.ix_(left, left)].sum(axis=1).argmin()]
        inside = matrix[seed, left] > THRESHOLD
        regions[left[inside]] = count
        left, count = left[~inside], count + 1
    return regions


if __name__ == "__main__":
    features = vectors()
    found = discover(features, threshold=THRESHOLD, first="lowest")
    assert (found == transcribed(features)).all(), "both must find the same regions"
    ways = {
        "similarity matrix": lambda: similarity(features),
        "discovery": lambda: discover(features, threshold=THRESHOLD, first="lowest"),
        "transcribed pseudocode": lambda: transcribed(features),
    }
    title = f"superpixels of {PATCHES} patches, {CHANNELS} channels: {found.max() + 1} regions"
    report(title, medians(ways), base="similarity matrix")
