"""Colours of classes, the same in pictures, on pages and in exported masks: far apart for every eye, the colour-blind among them.

The first seven are those of Okabe and Ito (2002). Each further one is as far as can be from all before it, from black, white and the
grey of pixels without a label, in CIELAB as seen by whoever of four eyes tells it worst: the usual one, and those of people who lack
one of three cones (Machado, Oliveira and Fernandes 2009).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab

Colour = tuple[int, int, int]  # red, green, blue
Palette = npt.NDArray[np.uint8]  # (class, rgb), background first
BLACK, WHITE, UNLABELLED = (0, 0, 0), (255, 255, 255), (128, 128, 128)
VOC_BORDER = (224, 224, 192)  # of pixels that count nowhere, in masks of Pascal VOC
FIRST = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
THING_COLOURS = 12  # that are told apart; further things have the same again
MOST_THINGS = 255  # that a byte can number
LEVELS = range(0, 256, 17)  # of each channel of the further ones
EYES = np.array(  # from linear light to the linear light that looks the same: all cones; without the first, the second, the third
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def make_palette(num_classes: int) -> Palette:
    """A colour for every class, background black before them. More classes change no colour of the first ones.

    num_classes: without background.
    """
    return np.array([BLACK, *_class_colours(num_classes)], np.uint8)


def make_thing_colours(num_classes: int) -> Palette:
    """A colour for every number of a thing, black for 0: some that no class has, in turn.

    num_classes: without background.
    """
    own = make_palette(num_classes + THING_COLOURS)[1 + num_classes :]
    return np.concatenate([np.array([BLACK], np.uint8), own[np.arange(MOST_THINGS) % THING_COLOURS]])


@cache
def _class_colours(count: int) -> tuple[Colour, ...]:
    chosen = [*FIRST[:count]]
    if count > len(FIRST):
        candidates = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)
        seen, nearest = _as_seen(candidates), np.full(len(candidates), np.inf)
        for taken in _as_seen(np.array([BLACK, WHITE, UNLABELLED, *FIRST])).swapaxes(0, 1):
            nearest = np.minimum(nearest, _distances(seen, taken))
        while len(chosen) < count:
            farthest = int(nearest.argmax())
            red, green, blue = (int(level) for level in candidates[farthest])
            chosen.append((red, green, blue))
            nearest = np.minimum(nearest, _distances(seen, seen[:, farthest]))
    return tuple(chosen)


def distance(one: Colour, other: Colour) -> float:
    """How far two colours are apart in CIELAB for whoever tells them worst; a step that is just noticed is about 2."""
    first, second = _as_seen(np.array([one, other])).swapaxes(0, 1)
    return float(_distances(first[:, None], second)[0])


def _as_seen(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """CIELAB of colours (colour, rgb), by eye (eye, colour, 3)."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    same = np.clip(np.einsum("eij,cj->eci", EYES, linear), 0, 1)
    return np.asarray(rgb2lab(np.where(same <= 0.0031308, 12.92 * same, 1.055 * same ** (1 / 2.4) - 0.055)), np.float64)


def _distances(seen: npt.NDArray[np.float64], taken: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far colours are from one, for the eye that tells them worst."""
    return np.asarray(np.linalg.norm(seen - taken[:, None], axis=-1).min(axis=0), np.float64)
