"""Seeds: confident pixels, and the one superpixel that no class map likes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from seedbed.seeds.superpixel_background import SuperpixelBackground
from seedbed.types import ClassMaps
from tests.support.evidence import scored

REGIONS = np.array([[0, 0, 1, 1, 2], [0, 0, 1, 1, 2]], np.int32)


def label(maps: ClassMaps, *, threshold: float = 0.5, regions: npt.NDArray[np.int32] = REGIONS) -> npt.NDArray[np.uint8]:
    return SuperpixelBackground(threshold=threshold).label(scored(maps, regions))


@st.composite
def examples(draw: st.DrawFn) -> tuple[ClassMaps, npt.NDArray[np.int32]]:
    """Random maps of some classes, with a maximum of 1 each, and random regions."""
    classes = tuple(sorted(draw(st.sets(st.integers(1, 5), min_size=1, max_size=3))))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    maps = random.random((len(classes), 4, 7), np.float32)
    count = draw(st.integers(1, 6))
    regions = np.concatenate([np.arange(count), random.integers(0, count, 28 - count)]).reshape(4, 7).astype(np.int32)
    return ClassMaps(classes=classes, maps=maps / maps.max(axis=(1, 2), keepdims=True)), regions


def test_the_weakest_superpixel_is_background_and_the_rest_is_unlabelled() -> None:
    maps = np.array([[[1.0, 0.4, 0.3, 0.3, 0.1], [0.9, 0.2, 0.3, 0.3, 0.1]]], np.float32)
    expected = np.array([[3, 255, 255, 255, 0], [3, 255, 255, 255, 0]], np.uint8)
    assert np.array_equal(label(ClassMaps(classes=(3,), maps=maps)), expected)


def test_the_strongest_of_several_classes_counts() -> None:
    maps = np.array([[[1, 0.6, 0, 0, 0.2], [0, 0, 0, 0, 0.2]], [[0.9, 0.7, 1, 0, 0.2], [0, 0, 0, 0, 0.2]]], np.float32)
    labels = label(ClassMaps(classes=(2, 5), maps=maps))
    assert labels.tolist() == [[2, 5, 5, 255, 0], [255, 255, 255, 255, 0]]


def test_a_confident_pixel_in_the_background_superpixel_stays_foreground() -> None:
    maps = np.array([[[0.4, 0.4, 0.4, 0.4, 0.6], [0.4, 0.4, 0.4, 0.4, 0.0]]], np.float32)
    assert label(ClassMaps(classes=(1,), maps=maps))[:, 4].tolist() == [1, 0]


def test_the_threshold_itself_is_not_confident() -> None:
    maps = np.array([[[0.5, 0.51, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0.5, 0]]], np.float32)
    assert label(ClassMaps(classes=(1,), maps=maps)).tolist() == [[255, 1, 255, 255, 0], [255, 255, 255, 255, 0]]


def test_of_equally_weak_superpixels_the_first_is_background() -> None:
    labels = label(ClassMaps(classes=(1,), maps=np.zeros((1, 2, 5), np.float32)))
    assert np.array_equal(labels, np.where(REGIONS == 0, 0, 255))


def test_every_superpixel_says_why() -> None:
    maps = np.array([[[0.9, 0.1, 0.2, 0.2, 0.4], [0.1, 0.1, 0.2, 0.2, 0.8]]], np.float32)
    assert SuperpixelBackground(threshold=0.5).explain(scored(ClassMaps(classes=(1,), maps=maps), REGIONS)) == [
        "not background: the mean of its strongest scores is 0.3000, the lowest is 0.2000, of superpixel 1; "
        "25.0% of its pixels are above the threshold of 0.5, which makes them seeds",
        "background: the mean of its strongest scores is 0.2000, the lowest of 3; "
        "0.0% of its pixels are above the threshold of 0.5, which makes them seeds",
        "not background: the mean of its strongest scores is 0.6000, the lowest is 0.2000, of superpixel 1; "
        "50.0% of its pixels are above the threshold of 0.5, which makes them seeds",
    ]


def test_an_image_without_a_class_has_one_background_superpixel_and_nothing_else() -> None:
    labels = label(ClassMaps(classes=(), maps=np.zeros((0, 2, 5), np.float32)))
    assert np.array_equal(labels, np.where(REGIONS == 0, 0, 255))


def test_equal_class_maps_go_to_the_first_class() -> None:
    labels = label(ClassMaps(classes=(2, 4), maps=np.ones((2, 2, 5), np.float32)))
    assert (labels == 2).all()


@given(examples(), st.floats(0, 0.99))
def test_background_is_one_superpixel_but_for_confident_pixels(example: tuple[ClassMaps, npt.NDArray[np.int32]], threshold: float) -> None:
    maps, regions = example
    labels = label(maps, threshold=threshold, regions=regions)
    strongest = maps.maps.max(axis=0)
    means = [strongest[regions == region].mean() for region in range(regions.max() + 1)]
    background = (labels == 0) | ((regions == np.argmin(means)) & (strongest > threshold))
    assert np.unique(regions[background]).tolist() == [np.argmin(means)]
    assert np.array_equal(background, regions == np.argmin(means))
    assert set(np.unique(labels).tolist()) <= {0, 255, *maps.classes}


@given(examples(), st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_higher_threshold_keeps_fewer_pixels_with_the_same_labels(
    example: tuple[ClassMaps, npt.NDArray[np.int32]], first: float, second: float
) -> None:
    maps, regions = example
    low, high = (label(maps, threshold=threshold, regions=regions) for threshold in sorted((first, second)))
    foreground = (high != 0) & (high != 255)
    assert np.array_equal(high[foreground], low[foreground])


@given(examples())
def test_just_below_one_only_the_maxima_are_left(example: tuple[ClassMaps, npt.NDArray[np.int32]]) -> None:
    maps, regions = example
    labels = label(maps, threshold=float(np.nextafter(np.float32(1), np.float32(0), dtype=np.float32)), regions=regions)
    assert np.array_equal((labels != 0) & (labels != 255), maps.maps.max(axis=0) == 1)


# --- As a whole ---


@given(examples())
def test_the_whole_written_down_pixel_by_pixel(example: tuple[ClassMaps, npt.NDArray[np.int32]]) -> None:
    maps, regions = example
    strongest = np.zeros((4, 7))
    for y, x in np.ndindex(4, 7):
        strongest[y, x] = max(float(one[y, x]) for one in maps.maps)
    means = [strongest[regions == region].mean() for region in range(regions.max() + 1)]
    expected = np.full((4, 7), 255)
    for y, x in np.ndindex(4, 7):
        if regions[y, x] == means.index(min(means)):
            expected[y, x] = 0
        if strongest[y, x] > 0.62:
            expected[y, x] = maps.classes[[float(one[y, x]) for one in maps.maps].index(float(strongest[y, x]))]
    assert np.array_equal(SuperpixelBackground(threshold=0.62).label(scored(maps, regions)), expected)
