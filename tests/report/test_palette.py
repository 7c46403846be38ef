"""Colours of classes: far apart for every eye."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seedbed.report import palette
from seedbed.report.palette import BLACK, UNLABELLED, WHITE, distance, make_palette, make_thing_colours


def test_background_is_black_and_more_classes_change_no_colour() -> None:
    small, large = make_palette(2), make_palette(254)
    assert small.tolist() == [[0, 0, 0], [230, 159, 0], [86, 180, 233]] and small.dtype == np.uint8
    assert np.array_equal(large[:21], make_palette(20))
    assert len({tuple(one) for one in large.tolist()}) == 255
    assert make_palette(0).tolist() == [[0, 0, 0]]


def test_things_have_colours_that_no_class_has_in_turn() -> None:
    colours = make_thing_colours(20)
    assert colours.shape == (256, 3) and colours[0].tolist() == [0, 0, 0]
    own = {tuple(one) for one in colours[1:].tolist()}
    assert len(own) == 12 and not own & {tuple(one) for one in make_palette(20).tolist()}
    assert np.array_equal(colours[1:13], colours[13:25]) and colours[255].tolist() == colours[3].tolist()


def test_distances_are_those_of_the_eye_that_tells_worst() -> None:
    assert distance(BLACK, WHITE) == pytest.approx(100, abs=0.1)
    assert distance(BLACK, BLACK) == 0
    usual = np.linalg.norm(palette._as_seen(np.array([(255, 0, 0), (0, 120, 0)]))[0, 0] - palette._as_seen(np.array([(0, 120, 0)]))[0, 0])
    assert usual > 100 and distance((255, 0, 0), (0, 120, 0)) < 40, "red and green"


@pytest.mark.parametrize(("classes", "apart"), [(7, 15), (20, 12), (80, 6), (254, 4)])
def test_no_two_colours_are_taken_for_each_other(classes: int, apart: float) -> None:
    colours = [tuple(int(level) for level in one) for one in make_palette(classes)]
    seen = palette._as_seen(np.array(colours))
    gaps = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1).min(axis=0)
    assert gaps[~np.eye(len(colours), dtype=bool)].min() > apart


def test_colours_stand_out_from_what_has_no_label_and_from_paper() -> None:
    for colour, neutral in itertools.product(make_palette(20)[1:].tolist(), (BLACK, WHITE, UNLABELLED)):
        red, green, blue = colour
        assert distance((red, green, blue), neutral) > 9
