"""Superpixels that look like things."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from seedbed.saliency import Correction
from seedbed.saliency.unsupervised import Unsupervised, score_contrast, score_distance_from_border, score_rarity
from seedbed.types import Alignment, ClassMaps, PatchFeatures
from tests.support.evidence import evidence

NO_CORRECTION = Correction(adds_above=1, doubts_below=0)
REGIONS = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 2, 2], [0, 1, 1, 2, 2], [0, 0, 0, 0, 0]], np.int32)


def features(vectors: list[list[float]], regions: np.ndarray[tuple[int, int], np.dtype[np.int32]] = REGIONS) -> PatchFeatures:
    """Features of patches of one pixel, each that of its region."""
    return PatchFeatures(np.array(vectors, np.float32)[regions], 1, Alignment.PADDED)


def test_what_keeps_off_the_border_is_ahead_of_what_touches_it() -> None:
    assert score_distance_from_border(REGIONS).tolist() == [0, 1, 1 - 2 / 12]
    assert score_distance_from_border(np.zeros((3, 4), np.int32)).tolist() == [0]
    assert score_distance_from_border(np.array([[0, 1, 1]], np.int32)).tolist() == [0.5, 0]


def test_what_is_like_little_is_rare() -> None:
    """Region 0 has 12 patches, 1 and 2 have 4 each; 2 is like 0."""
    assert score_rarity(REGIONS, features([[1, 0], [-1, 0.1], [1, 0.1]])).tolist() == [0, 1, 0]
    assert score_rarity(REGIONS, features([[1, 0], [1, 0.1], [1, 0.2]])).tolist() == [0, 0, 0]


def test_what_differs_from_most_stands_out() -> None:
    found = score_contrast(REGIONS, features([[1, 0], [0, 3], [2, 2]]))
    likeness = [(12 + 4 * math.sqrt(0.5)) / 20, (4 + 4 * math.sqrt(0.5)) / 20, (16 * math.sqrt(0.5) + 4) / 20]
    assert found == pytest.approx([(max(likeness) - one) / (max(likeness) - min(likeness)) for one in likeness])
    assert score_contrast(REGIONS, features([[0, 0], [0, 0], [0, 0]])).tolist() == [0, 0, 0]


def test_one_region_is_no_object() -> None:
    method = Unsupervised(border=1, degree=1, contrast=1, threshold=0, correction=NO_CORRECTION)
    regions = np.zeros((3, 4), np.int32)
    maps = ClassMaps.empty()
    known = evidence(np.zeros((3, 4, 3), np.uint8), maps, regions=regions, patches=features([[1.0, 2.0]], regions))
    made = method.find(known, np.zeros((3, 4), np.float32))
    assert not made.scores.any() and not made.objects.any()


@pytest.mark.parametrize(
    ("border", "degree", "contrast", "unread"),
    [(1, 0, 0, ("class_maps", "features")), (0, 1, 0, ("class_maps",)), (1, 0, 2, ("class_maps",))],
)
def test_what_does_not_count_is_not_looked_at(border: float, degree: float, contrast: float, unread: tuple[str, ...]) -> None:
    method = Unsupervised(border=border, degree=degree, contrast=contrast, threshold=0.5, correction=NO_CORRECTION)
    assert method.unread == unread and bool(method.memory({"patch_y": 30, "patch_x": 40})) == bool(degree)


def test_something_counts() -> None:
    with pytest.raises(ValidationError, match="a weight above 0 for border, degree or contrast"):
        Unsupervised(border=0, degree=0, contrast=0, threshold=0.5, correction=NO_CORRECTION)


def test_the_whole_written_down_superpixel_by_superpixel() -> None:
    method = Unsupervised(border=0.7, degree=1.3, contrast=2.1, threshold=0.55, correction=Correction(adds_above=0.8, doubts_below=0.2))
    random = np.random.default_rng(6)
    regions = np.repeat(np.repeat(random.permutation(12).reshape(3, 4) % 5, 4, axis=0), 4, axis=1).astype(np.int32)  # 12 x 16
    values = random.standard_normal((6, 8, 3)).astype(np.float32)
    maps = random.random((2, 12, 16), np.float32)
    known = evidence(
        np.zeros((12, 16, 3), np.uint8),
        ClassMaps(classes=(1, 2), maps=maps),
        regions=regions,
        patches=PatchFeatures(values, 2, Alignment.PADDED),
    )
    made = method.find(known, np.zeros((12, 16), np.float32))

    def cosine(one: np.ndarray[tuple[int], np.dtype[np.float32]], other: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
        return float(one @ other / math.sqrt(float(one @ one) * float(other @ other)))

    flat = values.reshape(-1, 3)
    degrees = [sum(place == other or cosine(flat[place], flat[other]) > 0 for other in range(48)) for place in range(48)]
    pixels = {number: [(y, x) for y in range(12) for x in range(16) if regions[y, x] == number] for number in range(5)}
    border = {n: sum(y in (0, 11) or x in (0, 15) for y, x in at) for n, at in pixels.items()}
    degree = {n: sum(degrees[y // 2 * 8 + x // 2] for y, x in at) / len(at) for n, at in pixels.items()}
    mean = {n: np.mean([values[y // 2, x // 2] for y, x in at], axis=0) for n, at in pixels.items()}
    likeness = {n: sum(len(at) * cosine(mean[n], mean[m]) for m, at in pixels.items()) / 192 for n in pixels}

    def stretched(measured: dict[int, float], number: int) -> float:
        return (max(measured.values()) - measured[number]) / (max(measured.values()) - min(measured.values()))

    outcomes = set()
    for number, places in pixels.items():
        score = 0.7 * (1 - border[number] / max(border.values())) + 1.3 * stretched(degree, number) + 2.1 * stretched(likeness, number)
        for y, x in places:
            assert made.scores[y, x] == pytest.approx(score / 4.1, abs=1e-5)
            strongest = max(one[y, x] / one.max() for one in maps)
            expected = int(score / 4.1 > 0.55)
            corrected = 1 if expected == 0 and strongest > 0.8 else 255 if expected == 1 and strongest < 0.2 else expected
            assert made.objects[y, x] == corrected
            outcomes.add((expected, corrected))
    assert outcomes >= {(0, 0), (0, 1), (1, 1)}
