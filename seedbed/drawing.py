"""Pictures for people: labels in colour, overlays, and sheets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import mark_boundaries

from seedbed.types import BACKGROUND, IGNORE, ClassMaps, Image, LabelMap, RegionMap

Palette = npt.NDArray[np.uint8]  # (class, rgb), background first
UNLABELLED = (128, 128, 128)
GAP, TITLE_HEIGHT, PAPER = 6, 22, 255


def labels(label_map: LabelMap, palette: Palette) -> Image:
    """Labels in the colours of their classes; unlabelled pixels are grey."""
    picture = palette[np.where(label_map == IGNORE, 0, label_map)]
    picture[label_map == IGNORE] = UNLABELLED
    return picture


def overlay(image: Image, label_map: LabelMap, palette: Palette) -> Image:
    """An image with its labels over it, each with a border; background stays as it is."""
    light = np.where((label_map != BACKGROUND)[..., None], 0.5 * image + 0.5 * labels(label_map, palette), image)
    return regions(np.asarray(np.rint(light), np.uint8), label_map.astype(np.int32))


def class_maps(image: Image, maps: ClassMaps, palette: Palette) -> Image:
    """Class maps as light of their class's colour over a dark image. Maps have the image's size."""
    light = np.zeros(image.shape, np.float32)
    for label, single in zip(maps.classes, maps.maps, strict=True):
        light += single[..., None] * palette[label]
    return np.clip(0.35 * image + 0.8 * light, 0, 255).astype(np.uint8)


def regions(image: Image, region_map: RegionMap) -> Image:
    """An image with the borders of its regions."""
    return np.asarray(np.rint(mark_boundaries(image, region_map, color=(1, 1, 0)) * 255), np.uint8)


def sheet(rows: Sequence[Mapping[str, Image]]) -> Image:
    """Pictures in a grid: one row per image, one column per name, names above."""
    names = list(dict.fromkeys(name for row in rows for name in row))  # an image without a truth lacks a picture
    heights = [max(picture.shape[0] for picture in row.values()) for row in rows]
    width = max(picture.shape[1] for row in rows for picture in row.values())
    page = np.full((TITLE_HEIGHT + sum(heights) + len(rows) * GAP, len(names) * (width + GAP), 3), PAPER, np.uint8)
    for column, name in enumerate(names):
        left, top = column * (width + GAP), TITLE_HEIGHT
        cv2.putText(page, name, (left, TITLE_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        for row, height in zip(rows, heights, strict=True):
            if name in row:
                picture = row[name]
                page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            top += height + GAP
    return page
