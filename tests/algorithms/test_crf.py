"""The dense CRF: what it leaves alone, and what it smooths."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pydensecrf.utils import unary_from_labels

from seedbed.algorithms.crf import NUMBERS, PRESETS, DenseCrf
from tests.support.oracles import dense_crf, photograph

FIELD = DenseCrf(preset="own", smooth_distance=2, smooth_weight=3, colour_distance=20, colour_difference=10, colour_weight=4, iterations=5)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = np.full((6, 10, 3), 128, np.uint8)


def field_of(preset: str) -> DenseCrf:
    """With published constants."""
    constants: dict[str, Any] = {"preset": preset, **dict(zip(NUMBERS, PRESETS[preset], strict=True))}
    return DenseCrf(**constants)


def test_no_iterations_leave_beliefs_as_they_are_but_for_their_sum() -> None:
    beliefs = 0.1 + 0.9 * RANDOM.random((3, 6, 10), np.float32)
    [probabilities] = dataclasses.replace(FIELD, iterations=0).probabilities([IMAGE], [beliefs])
    assert np.allclose(probabilities, beliefs / beliefs.sum(axis=0), atol=1e-5)
    assert np.array_equal(probabilities.argmax(axis=0), beliefs.argmax(axis=0))


@pytest.mark.parametrize(("count", "certainty"), [(4, 0.7), (2, 0.2)])
def test_no_iterations_leave_labels_as_they_are(count: int, certainty: float) -> None:
    labels = RANDOM.integers(0, count, (6, 10)).astype(np.int32)
    assert np.array_equal(dataclasses.replace(FIELD, iterations=0).labels(IMAGE, labels, count=count, certainty=certainty), labels)


def test_no_weight_changes_no_label() -> None:
    weightless = dataclasses.replace(FIELD, smooth_weight=0, colour_weight=0)
    beliefs = RANDOM.random((3, 6, 10), np.float32)
    [probabilities] = weightless.probabilities([IMAGE], [beliefs])
    assert np.array_equal(probabilities.argmax(axis=0), beliefs.argmax(axis=0))
    labels = RANDOM.integers(0, 4, (6, 10)).astype(np.int32)
    assert np.array_equal(weightless.labels(IMAGE, labels, count=4, certainty=0.7), labels)


def test_in_an_image_of_one_colour_a_lone_pixel_gives_way() -> None:
    labels = np.zeros((6, 10), np.int32)
    labels[3, 4] = 1
    smoothed = dataclasses.replace(FIELD, colour_weight=0).labels(GREY, labels, count=2, certainty=0.7)
    assert not smoothed.any()
    assert labels[3, 4] == 1  # the input stays


def test_without_smoothness_labels_follow_the_colours() -> None:
    image = np.zeros((6, 10, 3), np.uint8)
    image[:, 6:] = 255
    labels = (np.arange(10) >= 6).astype(np.int32) + np.zeros((6, 1), np.int32)
    rough = labels.copy()
    rough[2, 2], rough[4, 8] = 1, 0
    assert np.array_equal(dataclasses.replace(FIELD, smooth_weight=0).labels(image, rough, count=2, certainty=0.7), labels)


def test_height_and_width_are_not_exchanged() -> None:
    image = np.zeros((4, 12, 3), np.uint8)
    image[0] = 255
    labels = np.zeros((4, 12), np.int32)
    labels[0] = 1
    assert np.array_equal(FIELD.labels(image, labels, count=2, certainty=0.9), labels)


@pytest.mark.parametrize("count", [0, 1])
def test_one_label_stays_the_only_one(count: int) -> None:
    labels = np.zeros((6, 10), np.int32)
    assert np.array_equal(FIELD.labels(IMAGE, labels, count=count, certainty=0.7), labels)


@pytest.mark.parametrize("beliefs", [np.zeros((3, 6, 10)), np.full((3, 6, 10), 7.0), np.ones((1, 6, 10))])
def test_probabilities_sum_to_one_whatever_was_believed(beliefs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    [probabilities] = FIELD.probabilities([IMAGE], [beliefs.astype(np.float32)])
    assert probabilities.dtype == np.float32 and probabilities.shape == beliefs.shape
    assert np.allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert np.allclose(probabilities, 1 / len(beliefs), atol=1e-5)


def test_an_image_that_is_a_view_is_read_aright() -> None:
    beliefs = RANDOM.random((2, 6, 10), np.float32)
    turned = np.ascontiguousarray(IMAGE[:, ::-1])
    mirrored, expected = FIELD.probabilities([turned[:, ::-1], IMAGE], [beliefs, beliefs])
    assert np.array_equal(mirrored, expected)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_published_numbers_and_no_others(name: str) -> None:
    numbers = dict(zip(NUMBERS, PRESETS[name], strict=True))
    assert DenseCrf(preset=name, **numbers).iterations == PRESETS[name][-1]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"the numbers of the preset {name} \(smooth_distance: .*\), or preset: own"):
        DenseCrf(preset=name, **(numbers | {"colour_weight": 7}))  # type: ignore[arg-type]


def test_presets_are_those_that_were_published() -> None:
    """Smoothness: distance, weight; colour: distance, difference, weight; iterations. As read in the works' own code."""
    assert NUMBERS == ("smooth_distance", "smooth_weight", "colour_distance", "colour_difference", "colour_weight", "iterations")
    assert PRESETS == {
        "psa": (3, 3, 80, 13, 10, 10),
        "irn": (3, 3, 50, 5, 10, 10),
        "deeplab": (1, 3, 67, 3, 4, 10),
        "toco": (1, 1, 121, 5, 4, 10),
        "mctformer": (4, 3, 83, 5, 3, 10),
        "seam": (3, 3, 32, 13, 10, 1),
        "superpixels": (10, 10, 20, 5, 10, 20),
    }


# --- As a whole ---

OWN = DenseCrf(
    preset="own", smooth_distance=2, smooth_weight=1.5, colour_distance=17, colour_difference=21, colour_weight=2.5, iterations=3
)


def test_probabilities_are_those_of_pydensecrf_called_plainly() -> None:
    image, beliefs = photograph((24, 40)), np.random.default_rng(1).random((4, 24, 40), np.float32) ** 3
    beliefs[:, 3, 5] = 0
    energy = -np.log(np.minimum(np.maximum(beliefs, 1e-5), 1))
    expected = dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3)
    assert np.allclose(OWN.probabilities([image], [beliefs])[0], expected, atol=1e-6)


@pytest.mark.parametrize("count", [2, 5])
def test_labels_are_those_of_pydensecrf_s_energy_of_labels(count: int) -> None:
    image, random = photograph((24, 40)), np.random.default_rng(2)
    labels = random.integers(0, count, (4, 7)).astype(np.int32).repeat(7, 0).repeat(6, 1)[:24, :40]
    labels[random.random((24, 40)) < 0.1] = 0
    energy = unary_from_labels(labels, count, gt_prob=0.6, zero_unsure=False).reshape(count, 24, 40)
    expected = dense_crf(image, energy, smooth=(2, 1.5), colour=(17, 21, 2.5), iterations=3).argmax(axis=0)
    found = OWN.labels(image, labels, count=count, certainty=0.6)
    assert np.array_equal(found, expected) and found.dtype == np.int32
    assert not np.array_equal(found, labels)


# --- Many labels ---


def make_regions(count: int, size: tuple[int, int], *, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Regions around places that are strewn over the image, in patches."""
    random, (height, width) = np.random.default_rng(seed), size
    places = random.uniform(0, 1, (count, 2)) * size
    grid = np.moveaxis(np.indices((height, width)), 0, -1) // 7 * 7
    return np.asarray(np.linalg.norm(grid[:, :, None] - places, axis=-1).argmin(axis=-1), np.int32)


@pytest.mark.parametrize(
    ("preset", "count", "certainty"),
    [*((preset, 20, 0.7) for preset in PRESETS), *(("superpixels", count, 0.7) for count in (2, 100)), ("superpixels", 40, 0.3)],
)
def test_labels_are_those_of_a_channel_for_each(preset: str, count: int, certainty: float) -> None:
    field, size = field_of(preset), (27, 203)
    image, labels = photograph(size), make_regions(count, size)
    energy = unary_from_labels(labels, count, gt_prob=certainty, zero_unsure=False).reshape(count, *size)
    smooth = field.smooth_distance, field.smooth_weight
    colour = field.colour_distance, field.colour_difference, field.colour_weight
    expected = dense_crf(image, energy, smooth=smooth, colour=colour, iterations=field.iterations).argmax(axis=0)
    assert np.array_equal(field.labels(image, labels, count=count, certainty=certainty), expected)


def rows_of(field: DenseCrf, labels: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how many labels each row stands of those that inference is given."""
    rows, infer = list[float](), DenseCrf._infer

    def note_rows(self: DenseCrf, images: Any, energies: Any, device: str, *, stand_for: Any) -> Any:
        rows.extend(stand_for[0].tolist())
        assert len(energies[0]) == len(rows)
        return infer(self, images, energies, device, stand_for=stand_for)

    with monkeypatch.context() as patch:
        patch.setattr(DenseCrf, "_infer", note_rows)
        field.labels(photograph(labels.shape), labels, count=count, certainty=0.7)
    return rows


def test_far_labels_share_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(OWN, make_regions(100, (30, 400)), 100, monkeypatch)
    assert len(rows) < 40 and sum(rows) == 100


@pytest.mark.parametrize(("smooth", "colour"), [(2, 20), (20, 2)])
def test_labels_share_beyond_three_deviations_of_the_wider_term(smooth: float, colour: float, monkeypatch: pytest.MonkeyPatch) -> None:
    field = dataclasses.replace(FIELD, smooth_distance=smooth, colour_distance=colour)
    rows = [
        rows_of(field, np.repeat(np.array([0, 1, 2], np.int32), (10, between, 10))[None].repeat(4, 0), count, monkeypatch)
        for between, count in ((57, 4), (65, 4), (65, 3))
    ]
    assert rows == [[1, 1, 1, 1], [1, 1, 2], [1, 1, 1]], "the fourth label is nowhere; the last row stands for all that have none"


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1)])
def test_labels_of_tiny_images(size: tuple[int, int]) -> None:
    labels = np.full(size, 3, np.int32)
    assert np.array_equal(OWN.labels(photograph(size), labels, count=200, certainty=0.7), labels)
