"""Dense CRF for pseudo masks: what leaving out absent classes saves, and what processes do, against the usual loop over all classes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks._rounds import medians, report
from seedbed.algorithms.crf import NUMBERS, PRESETS, DenseCrf
from seedbed.run.executor import Workers, run_tasks
from seedbed.types import Image

HEIGHT, WIDTH = 375, 500  # a VOC image
PRESENT, ALL = 3, 21  # background and two classes; background and twenty


def use_preset(name: str) -> DenseCrf:
    """A dense CRF with published constants."""
    constants: dict[str, Any] = {"preset": name, **dict(zip(NUMBERS, PRESETS[name], strict=True))}
    return DenseCrf(**constants)


CRF = use_preset("psa")


def photograph(number: int) -> Image:
    """One of several photographs of a VOC image's size."""
    whole = cv2.resize(skimage.data.astronaut(), (WIDTH + 40, WIDTH + 40))
    top, left = 7 * number % 40, 3 * number % 40
    return np.ascontiguousarray(whole[top : top + HEIGHT, left : left + WIDTH], np.uint8)


def beliefs() -> npt.NDArray[np.float32]:
    """Smooth class maps of the classes that are present, and next to nothing for the others."""
    random = np.random.default_rng(0)
    made = np.full((ALL, HEIGHT, WIDTH), 1e-5, np.float32)
    for label in range(PRESENT):
        made[label] = cv2.GaussianBlur(random.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 20)
    return made


def refine(number: int, *, classes: int = PRESENT) -> npt.NDArray[np.int64]:
    """Labels of a photograph."""
    return np.asarray(CRF.probabilities([photograph(number)], [beliefs()[:classes]])[0].argmax(axis=0))


def with_processes(count: int, images: int) -> None:
    """All images, present classes alone, in so many processes of one thread each."""
    place = Workers(workers=count)
    for _ in run_tasks(refine, range(images), place=place, name=str, size=lambda _: 1, advance=lambda _: None):
        pass


def usual_loop(images: int) -> None:
    """All images and all classes, one after another in one process."""
    for number in range(images):
        refine(number, classes=ALL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    few, many = refine(0), refine(0, classes=ALL)
    title = f"dense CRF on {options.images} photographs of {HEIGHT} x {WIDTH}; {(few == many).mean():.2%} of the pixels get the same label"
    ways = {
        "usual loop over all classes, one process": lambda: usual_loop(options.images),
        "present classes, one process": lambda: with_processes(1, options.images),
        f"present classes, {options.workers} processes": lambda: with_processes(options.workers, options.images),
    }
    report(title, medians(ways, rounds=3), base=f"present classes, {options.workers} processes")
