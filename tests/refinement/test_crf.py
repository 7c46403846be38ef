"""Pseudo masks by a CRF over background and the classes of the image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seedbed.algorithms.crf import DenseCrf
from seedbed.refinement.crf import Crf
from seedbed.types import ClassMaps
from tests.support.evidence import evidence
from tests.support.oracles import dense_crf, photograph


@pytest.fixture
def plain(small_method: Callable[[str, str], Any]) -> Crf:
    """Without inference, so that the answer is known."""
    crf = small_method("refinement", "crf")
    assert isinstance(crf, Crf)
    return dataclasses.replace(crf, background_power=4, crf=dataclasses.replace(crf.crf, iterations=0))


IMAGE = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)


def test_an_image_without_a_class_is_background(plain: Crf) -> None:
    assert not plain.refine([evidence(IMAGE, ClassMaps(classes=(), maps=np.zeros((0, 2, 3), np.float32)))])[0].labels.any()


def test_the_strongest_belief_wins(plain: Crf) -> None:
    maps = np.array([[[1, 0.5, 0.1], [0, 0.2, 0.3]], [[0.5, 0.6, 0.2], [0, 0.1, 0.25]]], np.float32)
    # background is (1 - strongest) ** 4: 0, .03, .41 and 1, .41, .24
    [made] = plain.refine([evidence(IMAGE, ClassMaps(classes=(2, 7), maps=maps))])
    assert made.labels.tolist() == [[2, 7, 0], [0, 0, 2]]
    beliefs = np.clip(np.stack([(1 - maps.max(axis=0)) ** 4, *maps]), 1e-5, 1)
    assert np.abs(made.confidence / 255 - beliefs.max(axis=0) / beliefs.sum(axis=0)).max() < 0.003


def test_a_higher_power_leaves_less_background(plain: Crf) -> None:
    maps = ClassMaps(classes=(2,), maps=np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 2, 3))
    methods = [dataclasses.replace(plain, background_power=power) for power in (1, 4, 32)]
    shares = [(method.refine([evidence(IMAGE, maps)])[0].labels == 0).sum() for method in methods]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] == 1


def test_inference_makes_labels_follow_the_image(plain: Crf) -> None:
    image = np.zeros((12, 20, 3), np.uint8)
    image[:, 8:] = 255
    maps = np.full((1, 12, 20), 0.45, np.float32)
    maps[:, :, 10:] = 0.8  # the object really begins two pixels further left
    field = dataclasses.replace(plain.crf, colour_distance=40, colour_difference=13, colour_weight=10, smooth_weight=1, iterations=10)
    [made] = dataclasses.replace(plain, background_power=1, crf=field).refine([evidence(image, ClassMaps(classes=(3,), maps=maps))])
    labels = made.labels
    assert np.array_equal(labels, np.where(np.arange(20) >= 8, 3, 0) + np.zeros((12, 1), int))


# --- As a whole ---


def test_the_whole_is_pydensecrf_called_plainly() -> None:
    image, random = photograph((24, 40)), np.random.default_rng(1)
    maps = ClassMaps(classes=(2, 7), maps=random.random((2, 3, 5), np.float32)).resize((24, 40))
    beliefs = np.zeros((3, 24, 40))
    beliefs[0] = (1 - np.maximum(maps.maps[0], maps.maps[1])) ** 2.5
    beliefs[1:] = maps.maps
    energy = -np.log(np.clip(beliefs, 1e-5, 1))
    expected = dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3)
    field = DenseCrf(
        preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
    )
    [made] = Crf(background_power=2.5, crf=field).refine([evidence(image, maps)])
    assert np.array_equal(made.labels, np.array([0, 2, 7])[expected.argmax(axis=0)])
    assert set(np.unique(made.labels).tolist()) == {0, 2, 7}
    assert np.abs(made.confidence - 255 * expected.max(axis=0)).max() <= 0.501
