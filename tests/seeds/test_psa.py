"""Labels to learn affinities from: what CRFs agree on that begin with strong and with weak background."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from seedbed.algorithms.crf import DenseCrf
from seedbed.seeds.psa import PRESETS, Psa
from seedbed.types import ClassMaps
from tests.support.evidence import evidence
from tests.support.oracles import dense_crf, photograph

CRF = DenseCrf(
    preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
)
STILL = dataclasses.replace(CRF, iterations=0)


def test_what_is_a_class_in_spite_of_strong_background_is_sure_and_background_that_is_weak_is_too() -> None:
    maps = np.array([[[0.9, 0.6, 0.3, 0.1, 0.3], [0.0, 0.2, 0.0, 0.5, 0.0]], [[0.1, 0.7, 0.2, 0.0, 0.31], [0.0, 0.1, 0.3, 0.0, 1.0]]])
    # background is (1 - strongest) ** 2 and ** 4; at .3 these are .49 and .24, at .2 they are .64 and .41
    made = Psa(preset="own", strong_background=2, weak_background=4, crf=STILL).label(
        evidence(np.zeros((2, 5, 3), np.uint8), ClassMaps(classes=(2, 7), maps=maps.astype(np.float32)))
    )
    assert made.tolist() == [[2, 7, 255, 0, 255], [0, 0, 255, 2, 7]] and made.dtype == np.uint8


def test_an_image_without_a_class_is_background() -> None:
    nothing = evidence(photograph((7, 9)), ClassMaps(classes=(), maps=np.zeros((0, 2, 3), np.float32)))
    made = Psa(preset="own", strong_background=2, weak_background=4, crf=CRF).label(nothing)
    assert made.shape == (7, 9) and made.dtype == np.uint8 and not made.any()


@pytest.mark.parametrize("size", [(24, 40), (27, 33)])
def test_the_whole_is_pydensecrf_called_twice(size: tuple[int, int]) -> None:
    image, random = photograph(size), np.random.default_rng(1)
    small = random.random((2, 3, 5), np.float32) ** 2
    large = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR) for one in small])
    found = []
    for power in (1.7, 5.5):
        beliefs = np.stack([(1 - np.maximum(*large)) ** power, *large])
        energy = -np.log(np.maximum(beliefs, 1e-5))
        found.append(dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3).argmax(axis=0))
    expected = np.empty(size)
    for place in np.ndindex(size):
        strong, weak = (one[place] for one in found)
        expected[place] = 0 if weak == 0 else 255 if strong == 0 else (2, 7)[strong - 1]
    assert set(np.unique(expected)) == {0, 2, 7, 255}
    made = Psa(preset="own", strong_background=1.7, weak_background=5.5, crf=CRF).label(evidence(image, ClassMaps((2, 7), small)))
    assert np.array_equal(made, expected)


def test_presets_are_those_that_were_published() -> None:
    powers = {name: (one["strong_background"], one["weak_background"]) for name, one in PRESETS.items()}
    assert powers == {"psa": (4, 32), "seam": (4, 24), "mctformer": (1, 12)}
    assert Psa(preset="seam", strong_background=4, weak_background=24, crf=CRF).weak_background == 24
    with pytest.raises(ValueError, match=r"the numbers of the preset seam \(strong_background: 4, weak_background: 24\), or preset: own"):
        Psa(preset="seam", strong_background=4, weak_background=32, crf=CRF)


def test_what_it_reads() -> None:
    assert Psa.sees_images and not Psa.needs_regions and Psa.uses_gpu
