"""Dense CRF: leaving out the classes that an image does not contain."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.crf import DenseCrf
from seedbed.types import Image

HEIGHT, WIDTH = 375, 500  # a VOC image
PRESENT, ALL = 3, 21  # background and two classes; background and twenty


if __name__ == "__main__":
    random = np.random.default_rng(0)
    image: Image = np.asarray(cv2.GaussianBlur(random.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 5), np.uint8)
    beliefs = np.full((ALL, HEIGHT, WIDTH), 1e-5, np.float32)
    for label in range(PRESENT):
        beliefs[label] = cv2.GaussianBlur(random.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 20)
    # Constants that PSA and its followers use for pseudo masks.
    crf = DenseCrf(
        preset="psa", smooth_distance=3, smooth_weight=3, colour_distance=80, colour_difference=13, colour_weight=10, iterations=10
    )
    few, many = crf.probabilities(image, beliefs[:PRESENT]).argmax(axis=0), crf.probabilities(image, beliefs).argmax(axis=0)
    ways = {
        "classes that are present": lambda: crf.probabilities(image, beliefs[:PRESENT]),
        "all classes": lambda: crf.probabilities(image, beliefs),
    }
    title = f"dense CRF on {HEIGHT} x {WIDTH} pixels; {(few == many).mean():.2%} of the pixels get the same label"
    report(title, medians(ways, rounds=3), base="classes that are present")
