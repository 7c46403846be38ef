"""Labels to learn affinities from: what is a class above a high threshold, and background below a low one, after CRFs."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from seedbed.algorithms.crf import DenseCrf
from seedbed.seeds.irn import PRESETS, Irn
from seedbed.types import ClassMaps
from tests.support.evidence import evidence
from tests.support.oracles import dense_crf, photograph

CRF = DenseCrf(
    preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
)
STILL = dataclasses.replace(CRF, iterations=0)


def test_above_the_one_threshold_is_a_class_and_below_the_other_background() -> None:
    maps = np.array([[[0.9, 0.6, 0.5, 0.25, 0.2], [0.0, 0.2, 0.3, 0.51, 0.0]], [[0.1, 0.7, 0.2, 0.0, 0.31], [0.0, 0.1, 0.3, 0.5, 1.0]]])
    made = Irn(preset="own", foreground=0.5, background=0.25, certainty=0.8, crf=STILL).label(
        evidence(np.zeros((2, 5, 3), np.uint8), ClassMaps(classes=(2, 7), maps=maps.astype(np.float32)))
    )  # what is at a threshold is not above it
    assert made.tolist() == [[2, 7, 255, 0, 255], [0, 0, 255, 2, 7]] and made.dtype == np.uint8


def test_an_image_without_a_class_is_background() -> None:
    nothing = evidence(photograph((7, 9)), ClassMaps(classes=(), maps=np.zeros((0, 2, 3), np.float32)))
    made = Irn(preset="own", foreground=0.5, background=0.25, certainty=0.8, crf=CRF).label(nothing)
    assert made.shape == (7, 9) and made.dtype == np.uint8 and not made.any()


@pytest.mark.parametrize("size", [(24, 40), (27, 33)])
def test_the_whole_is_pydensecrf_called_twice(size: tuple[int, int]) -> None:
    image, random = photograph(size), np.random.default_rng(1)
    small = random.random((2, 3, 5), np.float32)
    large = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR) for one in small])
    found = []
    for threshold in (0.64, 0.48):
        energy = np.full((3, *size), -np.log(0.4 / 2))
        for place in np.ndindex(size):
            values = [threshold, *(one[place] for one in large)]
            energy[(values.index(max(values)), *place)] = -np.log(0.6)
        found.append(dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3).argmax(axis=0))
    expected = np.empty(size)
    for place in np.ndindex(size):
        foreground, background = (one[place] for one in found)
        expected[place] = (2, 7)[foreground - 1] if foreground else 255 if background else 0
    assert set(np.unique(expected)) == {0, 2, 7, 255}
    made = Irn(preset="own", foreground=0.64, background=0.48, certainty=0.6, crf=CRF).label(evidence(image, ClassMaps((2, 7), small)))
    assert np.array_equal(made, expected)


def test_presets_are_those_that_were_published() -> None:
    numbers = {name: (one["foreground"], one["background"], one["certainty"]) for name, one in PRESETS.items()}
    assert numbers == {"irn": (0.3, 0.05, 0.7), "rib": (0.35, 0.17, 0.7)}
    assert Irn(preset="rib", foreground=0.35, background=0.17, certainty=0.7, crf=CRF).foreground == 0.35
    message = r"the numbers of the preset rib \(foreground: 0.35, background: 0.17, certainty: 0.7\), or preset: own"
    with pytest.raises(ValueError, match=message):
        Irn(preset="rib", foreground=0.35, background=0.17, certainty=0.6, crf=CRF)


def test_background_above_foreground_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a background no more than foreground, which is 0.4"):
        Irn(preset="own", foreground=0.4, background=0.5, certainty=0.7, crf=CRF)
    assert Irn(preset="own", foreground=0.4, background=0.4, certainty=0.7, crf=CRF).background == 0.4


def test_what_it_reads() -> None:
    assert Irn.sees_images and not Irn.needs_regions and Irn.uses_gpu
