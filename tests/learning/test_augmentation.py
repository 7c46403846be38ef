"""Views: the image and its maps are cut and turned alike."""

from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.learning.augmentation import Augmentation, Colours, Sample
from tests.support.oracles import photograph

GREY = Colours(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
STILL = Augmentation(
    crop=32,
    longer_side=0,
    smallest_scale=1.0,
    largest_scale=1.0,
    scale_steps=0,
    interpolation="bilinear",
    padding=(),
    flip=0.0,
    colours=GREY,
)


def coordinates(height: int, width: int) -> Sample:
    """An image whose red and green say row and column, and maps that say the same."""
    rows, columns = np.indices((height, width))
    image = np.stack([3 * rows + 5, 3 * columns + 5, np.full_like(rows, 128)], axis=-1).astype(np.uint8)
    maps: dict[str, npt.NDArray[Any]] = {
        "rows": rows.astype(np.int32),
        "columns": columns.astype(np.int32),
        "labels": np.zeros((height, width), np.uint8),
    }
    return Sample(image=image, labels=np.array([True, False]), maps=maps, padding={"rows": -1, "columns": -1, "labels": 255})


def decoded(view: Sample) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Row and column that the colours say."""
    return (view.image[..., 0] - 5.0) / 3, (view.image[..., 1] - 5.0) / 3


def inside(view: Sample) -> npt.NDArray[np.bool_]:
    """Pixels that show the image and not what lies beyond its border."""
    return np.asarray(view.maps["labels"] == 0)


SIDES = st.integers(17, 83)
SEEDS = st.integers(0, 10_000)


@given(SIDES, SIDES, SEEDS, st.sampled_from([0.0, 1.0]))
def test_image_and_maps_are_cut_and_turned_alike(height: int, width: int, seed: int, flip: float) -> None:
    view = dataclasses.replace(STILL, flip=flip).view(coordinates(height, width), np.random.default_rng(seed))
    assert view.image.shape == (32, 32, 3) and view.image.dtype == np.uint8
    assert all(one.shape == (32, 32) for one in view.maps.values())
    rows, columns = decoded(view)
    shown = inside(view)
    assert np.array_equal(rows[shown], view.maps["rows"][shown])
    assert np.array_equal(columns[shown], view.maps["columns"][shown])
    step = 1 if flip == 0 else -1
    line = view.maps["columns"][shown.any(axis=1)][0]
    assert (np.diff(line[line >= 0]) == step).all()


@given(SIDES, SIDES, SEEDS)
def test_a_view_shows_as_much_of_the_image_as_fits(height: int, width: int, seed: int) -> None:
    view = STILL.view(coordinates(height, width), np.random.default_rng(seed))
    assert inside(view).sum() == min(height, 32) * min(width, 32)
    assert np.array_equal(view.maps["rows"] == -1, ~inside(view)) and np.array_equal(view.maps["columns"] == -1, ~inside(view))


def test_a_small_image_lies_anywhere_in_the_view_and_is_surrounded_by_its_mean_colour() -> None:
    sample = coordinates(20, 25)
    places = set()
    for seed in range(40):
        view = STILL.view(sample, np.random.default_rng(seed))
        beyond = view.image[~inside(view)]
        assert (beyond == sample.image.reshape(-1, 3).mean(axis=0).astype(np.uint8)).all()
        places.add((int(inside(view).any(axis=1).argmax()), int(inside(view).any(axis=0).argmax())))
    assert {0, 12} <= {top for top, _ in places} and {0, 7} <= {left for _, left in places}


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("size", [(20, 25), (20, 60), (40, 60)])
def test_what_lies_beyond_the_border_may_be_of_a_colour_that_no_change_of_colours_touches(size: tuple[int, int], flip: float) -> None:
    sample, jitter = coordinates(*size), Colours(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
    plain = dataclasses.replace(STILL, flip=flip, padding=(124, 116, 104))
    for seed in range(5):
        still = plain.view(sample, np.random.default_rng(seed))
        view = dataclasses.replace(plain, colours=jitter).view(sample, np.random.default_rng(seed))
        shown = inside(still)
        assert np.array_equal(shown, inside(view))
        assert (view.image[~shown] == (124, 116, 104)).all() and (still.image[~shown] == (124, 116, 104)).all()
        # The image alone is changed, by what follows in the sequence of chance: scale, two offsets and flip are drawn before.
        random = np.random.default_rng(seed)
        random.uniform(1.0, 1.0)
        for length in size:
            random.integers(min(0, length - 32), max(0, length - 32) + 1)
        random.random()
        part = still.image[shown].reshape(min(size[0], 32), min(size[1], 32), 3)
        assert np.abs(jitter.jitter(part, random).astype(int) - view.image[shown].reshape(part.shape)).max() <= 1


def test_a_colour_has_three_numbers() -> None:
    with pytest.raises(ValueError, match="a padding of three numbers, or of none"):
        dataclasses.replace(STILL, padding=(124, 116))


def test_every_row_and_column_of_a_large_image_is_seen() -> None:
    views = [STILL.view(coordinates(40, 60), np.random.default_rng(seed)) for seed in range(150)]
    assert {int(row) for view in views for row in view.maps["rows"][:, 0]} == set(range(40))
    assert {int(column) for view in views for column in view.maps["columns"][0]} == set(range(60))


@pytest.mark.parametrize("scale", [0.6, 0.7, 1.3, 1.7])
def test_scaled_maps_stay_where_the_scaled_image_is(scale: float) -> None:
    augmentation = dataclasses.replace(STILL, crop=64, smallest_scale=scale, largest_scale=scale)
    view = augmentation.view(coordinates(60, 80), np.random.default_rng(0))
    shown = inside(view)
    for said, mapped in zip(decoded(view), (view.maps["rows"], view.maps["columns"]), strict=True):
        difference = said[shown] - mapped[shown]
        assert np.abs(difference).max() <= 1.01  # the nearest pixel of the image
        assert abs(difference.mean()) < 0.15  # and no shift on the whole


@pytest.mark.parametrize(("scale", "shape"), [(0.5, (10, 15)), (0.25, (5, 7)), (1.0, (20, 30))])
def test_images_are_resized_by_the_scale(scale: float, shape: tuple[int, int]) -> None:
    augmentation = dataclasses.replace(STILL, smallest_scale=scale, largest_scale=scale)
    shown = inside(augmentation.view(coordinates(20, 30), np.random.default_rng(0)))
    assert (shown.any(axis=1).sum(), shown.any(axis=0).sum()) == pytest.approx(shape, abs=1)


def test_scales_lie_between_the_smallest_and_the_largest() -> None:
    augmentation = dataclasses.replace(STILL, smallest_scale=0.5, largest_scale=1.0)
    widths = [inside(augmentation.view(coordinates(20, 30), np.random.default_rng(seed))).any(axis=0).sum() for seed in range(60)]
    assert min(widths) >= 15 and max(widths) <= 30 and max(widths) - min(widths) > 10


@pytest.mark.parametrize(("steps", "expected"), [(2, {10, 50}), (3, {10, 30, 50}), (5, {10, 20, 30, 40, 50})])
def test_scales_may_be_a_few_at_equal_distances(steps: int, expected: set[int]) -> None:
    augmentation = dataclasses.replace(STILL, crop=64, smallest_scale=0.5, largest_scale=2.5, scale_steps=steps)
    widths = [inside(augmentation.view(coordinates(17, 20), np.random.default_rng(seed))).any(axis=0).sum() for seed in range(60)]
    assert set(widths) == expected
    assert all(abs(widths.count(width) - 60 / steps) < 20 for width in expected)


def test_one_scale_alone_is_for_equal_bounds() -> None:
    with pytest.raises(ValueError, match="0 or at least 2 scale_steps where smallest_scale and largest_scale differ"):
        dataclasses.replace(STILL, smallest_scale=0.5, scale_steps=1)
    assert dataclasses.replace(STILL, scale_steps=1).scale_steps == 1
    assert dataclasses.replace(STILL, smallest_scale=0.5, largest_scale=0.5, scale_steps=1).scale_steps == 1
    with pytest.raises(ValueError, match="0 or at least 2 scale_steps"):
        dataclasses.replace(STILL, smallest_scale=1, largest_scale=2, scale_steps=1)


def weights_of_cubic(length: int, wanted: int) -> npt.NDArray[np.float64]:
    """What each old pixel gives to each new one: the cubic kernel of Keys, as wide as what a new pixel covers."""
    stretch = max(1.0, length / wanted)
    centres = (np.arange(wanted) + 0.5) * length / wanted
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / stretch
    near, far = 1.5 * distance**3 - 2.5 * distance**2 + 1, -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.6])
def test_images_may_be_resized_by_cubic_interpolation_without_aliasing(scale: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    sample = dataclasses.replace(coordinates(30, 40), image=image)
    method = dataclasses.replace(STILL, crop=64, smallest_scale=scale, largest_scale=scale, padding=(0, 0, 0))
    cubic = dataclasses.replace(method, interpolation="antialiased_cubic").view(sample, np.random.default_rng(0))
    rows, columns = weights_of_cubic(30, round(30 * scale)), weights_of_cubic(40, round(40 * scale))
    across = np.einsum("ijc,bj->ibc", image, columns).clip(0, 255)  # bytes after each of two passes
    expected = np.einsum("ai,ibc->abc", rows, across).clip(0, 255)
    found = cubic.image[inside(cubic)].reshape(expected.shape)
    assert np.abs(found - expected).max() <= 1.5
    bilinear = method.view(sample, np.random.default_rng(0)).image
    assert np.array_equal(bilinear, cubic.image) == (scale == 1.0)


def test_half_of_the_views_are_flipped_where_the_probability_is_half() -> None:
    augmentation = dataclasses.replace(STILL, flip=0.5)
    flipped = 0
    for seed in range(200):
        view = augmentation.view(coordinates(40, 60), np.random.default_rng(seed))
        flipped += view.maps["columns"][0, 0] > view.maps["columns"][0, -1]
    assert 70 < flipped < 130


def test_labels_are_never_mixed_by_scaling() -> None:
    sample = coordinates(20, 30)
    mask = np.where(np.indices((20, 30))[1] % 2, 3, 255).astype(np.uint8)
    sample = dataclasses.replace(sample, maps={"labels": mask}, padding={"labels": 255})
    view = dataclasses.replace(STILL, smallest_scale=0.6, largest_scale=1.7).view(sample, np.random.default_rng(0))
    assert view.maps["labels"].dtype == np.uint8
    assert set(np.unique(view.maps["labels"]).tolist()) == {3, 255}


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_within_their_range_and_maps_do_not(change: str) -> None:
    augmentation = dataclasses.replace(STILL, colours=dataclasses.replace(GREY, **{change: 0.5}))
    sample = coordinates(20, 30)
    plain = STILL.view(sample, np.random.default_rng(1))
    changed = augmentation.view(sample, np.random.default_rng(1))
    assert not np.array_equal(plain.image, changed.image)
    assert all(np.array_equal(plain.maps[name], changed.maps[name]) for name in plain.maps)
    if change == "brightness":
        ratio = changed.image[plain.image > 40].astype(float) / plain.image[plain.image > 40]
        assert ratio.max() - ratio.min() < 0.05 and 0.5 <= ratio.mean() <= 1.5


def test_the_sample_stays_as_it_is_and_keeps_what_the_view_does_not_change() -> None:
    sample, again = coordinates(20, 30), coordinates(20, 30)
    view = dataclasses.replace(STILL, flip=1.0, colours=dataclasses.replace(GREY, brightness=0.5)).view(sample, np.random.default_rng(0))
    assert np.array_equal(sample.image, again.image) and np.array_equal(sample.maps["rows"], again.maps["rows"])
    assert view.labels is sample.labels and view.padding == sample.padding


def test_the_same_chance_gives_the_same_view() -> None:
    colours = Colours(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    augmentation = dataclasses.replace(STILL, smallest_scale=0.5, largest_scale=2.0, flip=0.5, colours=colours)
    first, second = (augmentation.view(coordinates(20, 30), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, second.image)


@pytest.mark.parametrize("size", [(20, 31), (31, 20), (64, 45), (2, 1)])
def test_the_longer_side_is_brought_to_its_length_whatever_the_image_s(size: tuple[int, int]) -> None:
    height, width = size
    view = dataclasses.replace(STILL, crop=48, longer_side=40).view(coordinates(height, width), np.random.default_rng(0))
    seen = inside(view)
    assert (int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())) == (round(height * 40 / max(size)), round(width * 40 / max(size)))


def test_a_turn_of_the_hue_leaves_grey_and_brightness() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0], image[1] = (200, 40, 40), 120
    turned = dataclasses.replace(GREY, hue=0.5).jitter(image, np.random.default_rng(3))
    assert np.array_equal(turned[1], image[1])
    assert not np.array_equal(turned[0], image[0]) and turned[0].max() == 200 and abs(int(turned[0].min()) - 40) <= 2


# --- As a whole ---


@pytest.mark.parametrize("padding", [(), (10, 200, 90)])
@pytest.mark.parametrize("seed", range(6))
def test_a_view_written_down_draw_by_draw(seed: int, padding: tuple[int, ...]) -> None:
    colours = Colours(brightness=0.2, contrast=0.3, saturation=0.4, hue=0.0)
    augmentation = Augmentation(
        crop=40,
        longer_side=50,
        smallest_scale=0.6,
        largest_scale=1.3,
        scale_steps=0 if seed % 2 else 3,
        interpolation="bilinear",
        padding=padding,
        flip=0.3,
        colours=colours,
    )
    image = photograph((44, 61))
    labels = np.random.default_rng(1).integers(0, 4, (44, 61)).astype(np.uint8)
    sample = Sample(image=image, labels=np.array([True, False]), maps={"labels": labels}, padding={"labels": 255})
    random = np.random.default_rng(seed)
    factor = random.uniform(0.6, 1.3) if seed % 2 else float(random.choice(np.array([0.6, 0.95, 1.3])))
    height, width = round(44 * factor * 50 / 61), round(61 * factor * 50 / 61)
    top, left = (int(random.integers(min(0, length - 40), max(0, length - 40) + 1)) for length in (height, width))
    flip = random.random() < 0.3
    brightness, contrast, saturation = (1 + random.uniform(-most, most) for most in (0.2, 0.3, 0.4))
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    fill = np.array(padding) if padding else np.floor(resized.mean(axis=(0, 1)))
    view, mapped, shown, between = np.zeros((40, 40, 3)), np.full((40, 40), 255), np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    for y, x in np.ndindex(40, 40):
        inside = 0 <= y + top < height and 0 <= x + left < width
        view[y, x], shown[y, x] = resized[y + top, x + left] if inside else fill, inside
        if inside:
            row, column = (y + top + 0.5) * 44 / height, (x + left + 0.5) * 61 / width
            mapped[y, x] = labels[int(row), int(column)]
            between[y, x] = min(abs(row - round(row)), abs(column - round(column))) < 1e-3  # two are equally near
    changed = shown if padding else np.ones((40, 40), bool)  # the mean colour changes along
    pixels = view[changed] * brightness
    pixels = (pixels - pixels.mean()) * contrast + pixels.mean()
    grey = (pixels @ [0.299, 0.587, 0.114])[:, None]
    view[changed] = np.clip((pixels - grey) * saturation + grey, 0, 255)
    found = augmentation.view(sample, np.random.default_rng(seed))
    found_image, found_labels = (one[:, ::-1] if flip else one for one in (found.image, found.maps["labels"]))
    assert np.array_equal(found_labels[~between], mapped[~between])
    assert np.abs(found_image - view).max() <= 1
    assert shown.mean() > 0.3 and between.mean() < 0.1


def test_a_turn_of_the_hue_is_that_of_colorsys() -> None:
    image, random = np.random.default_rng(0).integers(0, 256, (4, 7, 3), dtype=np.uint8), np.random.default_rng(5)
    random.uniform(size=3)  # brightness, contrast, saturation
    turn = random.uniform(-0.3, 0.3)
    found = dataclasses.replace(GREY, hue=0.3).jitter(image, np.random.default_rng(5))
    for y, x in np.ndindex(4, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[y, x] / 255))
        expected = 255 * np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
        assert np.abs(found[y, x] - expected).max() <= 6  # the circle has 256 steps


@pytest.mark.parametrize(("turn", "steps"), [(0.49, 125), (-0.25, 192), (0, 0)])
def test_a_full_turn_of_the_hue_is_256_steps(turn: float, steps: int) -> None:
    image = np.array([[[200, 40, 90], [10, 220, 30]]], np.uint8)
    expected = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    expected[..., 0] += np.uint8(steps)
    assert np.array_equal(Colours._rotate_hue(image, turn), cv2.cvtColor(expected, cv2.COLOR_HSV2RGB_FULL))
