"""Draws pictures for people: labels in colour, overlays, errors, and sheets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import mark_boundaries

from seedbed.report.palette import UNLABELLED, WHITE, Colour, Palette, make_palette, make_thing_colours
from seedbed.types import BACKGROUND, IGNORE, PARTS, ClassMaps, Image, LabelMap, RegionMap

GAP, TITLE_HEIGHT, PAPER, INK = 6, 22, 255, (0, 0, 0)
DIM = 0.4  # brightness of correct pixels in a picture of errors
ERRORS = {  # colours that the colour-blind tell apart, by what is wrong
    "false: a class where background is": (213, 94, 0),
    "missed: no label, or background where a class is": (86, 180, 233),
    "confused: another class than there is": (240, 228, 66),
}
COVER = 0.6  # of features over an image
SHADE = 0.2  # light of an image where a share is 0
REGION_COLOURS = 20  # of regions without an image, in turn
VOID_COLOUR = (255, 255, 255)
LEGEND = {**ERRORS, "void, which does not count": VOID_COLOUR}


def draw_labels(label_map: LabelMap, palette: Palette) -> Image:
    """Labels in the colours of their classes; unlabelled pixels are grey."""
    picture = palette[np.where(label_map == IGNORE, 0, label_map)]
    picture[label_map == IGNORE] = UNLABELLED
    return picture


def draw_overlay(image: Image, label_map: LabelMap, palette: Palette) -> Image:
    """An image with its labels over it, each with a border; background stays as it is."""
    light = np.where((label_map != BACKGROUND)[..., None], 0.5 * image + 0.5 * draw_labels(label_map, palette), image)
    return draw_regions(np.asarray(np.rint(light), np.uint8), label_map.astype(np.int32))


def draw_errors(image: Image, label_map: LabelMap, truth: LabelMap) -> Image:
    """Errors of labels, in the colours of `ERRORS`; where labels are correct, the image is shown grey and dim."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    picture = np.repeat(np.rint(DIM * grey).astype(np.uint8)[..., None], 3, axis=-1)
    unlabelled, nothing = label_map == IGNORE, truth == BACKGROUND
    missed = unlabelled | ((label_map == BACKGROUND) & ~nothing)
    false = nothing & ~unlabelled & (label_map != BACKGROUND)
    for wrong, colour in zip((false, missed, (label_map != truth) & ~false & ~missed), ERRORS.values(), strict=True):
        picture[wrong] = colour
    picture[truth == IGNORE] = VOID_COLOUR
    return picture


def draw_class_maps(image: Image, maps: ClassMaps, palette: Palette) -> Image:
    """Class maps as light of their class's colour over a dark image. Maps have the image's size."""
    return _shine(image, maps.maps, palette[list(maps.classes)])


def _shine(image: Image | None, maps: npt.NDArray[np.float32], colours: Palette) -> Image:
    """Maps as light of a colour for each, over a dark image or over nothing."""
    light = np.zeros((*maps.shape[1:], 3), np.float32)
    for single, colour in zip(maps, colours, strict=True):
        light += single[..., None] * colour
    return np.clip(light if image is None else 0.35 * image + 0.8 * light, 0, 255).astype(np.uint8)


def draw_regions(image: Image, region_map: RegionMap) -> Image:
    """An image with the borders of its regions."""
    return np.asarray(np.rint(mark_boundaries(image, region_map, color=(1, 1, 0)) * 255), np.uint8)


def draw_things(things: npt.NDArray[np.uint8], num_classes: int, *, image: Image | None = None) -> Image:
    """Things that are told apart, each in a colour of its own; over an image, each with a border, or alone.

    num_classes: without background, whose colours no thing has.
    """
    colours = make_thing_colours(num_classes)[things]
    if image is None:
        return colours
    light = np.where((things > 0)[..., None], 0.5 * image + 0.5 * colours, image)
    return draw_regions(np.asarray(np.rint(light), np.uint8), things.astype(np.int32))


def draw_layer(
    content: npt.NDArray[Any], shown: str, palette: Palette, *, image: Image | None = None, classes: Sequence[int] | None = None
) -> Image:
    """Whatever lies over an image, by the way in which its schema says it is shown; over the image, or alone.

    content: as `layers.read_layer` reads it; of classes, one map after the other.
    shown: a key of `schemas.SHOWN`.
    classes: whose maps are wanted; None where classes themselves are, or a map of no class.
    """
    match shown:
        case "regions" | "merges" | "selections":
            return draw_regions(make_palette(REGION_COLOURS)[1 + content % REGION_COLOURS] if image is None else image, content)
        case "things":
            return draw_things(content, len(palette) - 1, image=image)
        case "features" | "ways":
            return np.asarray(content if image is None else cv2.addWeighted(image, 1 - COVER, content, COVER, 0), np.uint8)
        case "labels" | "probabilities" if classes is None:
            return draw_labels(content, palette) if image is None else draw_overlay(image, content, palette)
    if classes is None:
        shares = content[..., None] / np.float32(PARTS)
        return np.rint(shares * WHITE if image is None else image * (SHADE + (1 - SHADE) * shares)).astype(np.uint8)
    return _shine(image, np.asarray(content / PARTS, np.float32), palette[list(classes)])


def arrange_sheet(
    rows: Sequence[Mapping[str, Image]], *, captions: Sequence[str] = (), legend: Mapping[str, Colour] = MappingProxyType({})
) -> Image:
    """Arrange pictures in a grid: one row per image, one column per name, with the names above.

    captions: texts above the rows, if any.
    legend: meanings of colours, shown at the top.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))  # an image without a truth lacks a picture
    above = TITLE_HEIGHT if captions else 0
    heights = [above + max(picture.shape[0] for picture in row.values()) for row in rows]
    width = max(picture.shape[1] for row in rows for picture in row.values())
    first = TITLE_HEIGHT * (1 + len(legend))
    page = np.full((first + sum(heights) + len(rows) * GAP, len(names) * (width + GAP), 3), PAPER, np.uint8)
    for line, (meaning, colour) in enumerate(legend.items()):
        _write(page, meaning, left=2 * TITLE_HEIGHT, top=line * TITLE_HEIGHT)
        corners = (GAP, line * TITLE_HEIGHT + GAP // 2), (2 * TITLE_HEIGHT - GAP, (1 + line) * TITLE_HEIGHT - GAP // 2)
        cv2.rectangle(page, *corners, colour, cv2.FILLED)
        cv2.rectangle(page, *corners, INK, 1)  # for white on white
    for column, name in enumerate(names):
        left, top = column * (width + GAP), first
        _write(page, name, left=left, top=top - TITLE_HEIGHT)
        for row, height in zip(rows, heights, strict=True):
            if name in row:
                picture = row[name]
                page[top + above : top + above + picture.shape[0], left : left + picture.shape[1]] = picture
            top += height + GAP
    for caption, place in zip(captions, np.cumsum([first, *(height + GAP for height in heights)]), strict=False):
        _write(page, caption, left=0, top=int(place))
    return page


def _write(page: Image, text: str, *, left: int, top: int) -> None:
    """Put a line of text on a page, in place."""
    cv2.putText(page, text, (left, top + TITLE_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
