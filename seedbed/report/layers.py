"""What can be seen of an image: every array of an artifact that lies over it, by the way in which its schema says it is shown.

Pictures, pages and exports go by these ways, so whatever a new stage leaves is seen without a line for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seedbed.algorithms.clicks import ClickTree
from seedbed.algorithms.principal_components import PrincipalComponents
from seedbed.reads import read_class_maps, read_entry, read_instances, read_patches, read_probabilities
from seedbed.store.artifact import Artifact
from seedbed.types import IGNORE, OBJECT, PARTS, Image, RegionMap, Size

REGIONS = 24  # at which a tree is cut
DIRECTIONS = 3  # of features, one for each of red, green and blue
OUTERMOST = 2.0  # percent of the values along a direction that lie beyond the darkest or the brightest


@dataclass(frozen=True)
class Layer:
    """An array that lies over an image."""

    artifact: str
    array: str
    shown: str  # as of schemas.SHOWN
    classes: tuple[int, ...] = ()  # that have a map of their own
    things: tuple[tuple[int, float], ...] = ()  # class and score of each, in the order of their numbers


def list_layers(artifact: Artifact, image_id: str) -> list[Layer]:
    """What an artifact holds of an image that can be seen."""
    arrays = {name: spec.shown for name, spec in artifact.schema.arrays.items() if spec.shown}
    if not arrays or image_id not in artifact:
        return []
    return [
        Layer(artifact.name, name, shown, _classes(artifact, image_id, shown), _things(artifact, image_id, shown))
        for name, shown in arrays.items()
    ]


def _classes(artifact: Artifact, image_id: str, shown: str) -> tuple[int, ...]:
    if shown == "scores":
        return tuple(int(one) for one in np.flatnonzero(artifact.array("present")[artifact.row(image_id)]))
    return tuple(range(artifact.lengths["class"])) if shown == "probabilities" else ()


def _things(artifact: Artifact, image_id: str, shown: str) -> tuple[tuple[int, float], ...]:
    if shown != "things":
        return ()
    found = read_instances(artifact, image_id)
    return tuple(zip(found.classes, found.scores, strict=True))


def read_layer(artifact: Artifact, layer: Layer, image_id: str, *, class_id: int | None = None) -> npt.NDArray[Any]:
    """A layer at the size of the image: classes, regions or things (y, x), shares of 255 (y, x), or colours (y, x, rgb).

    class_id: whose map is wanted; None takes the likeliest class of probabilities, and the strongest of all scores.
    """
    size = artifact.size(image_id)
    match layer.shown:
        case "scores":
            maps = read_class_maps(artifact, image_id).resize(size)
            wanted = [maps.classes.index(class_id)] if class_id in maps.classes else [] if class_id is not None else slice(None)
            return np.asarray(np.rint(PARTS * maps.maps[wanted].max(axis=0, initial=0.0)), np.uint8)
        case "probabilities":
            probabilities = read_probabilities(artifact, image_id).resize(size)
            return probabilities.labels if class_id is None else probabilities.parts[class_id]
        case "features":
            return colour_features(artifact, image_id, size)
        case "merges":
            return cut_tree(artifact, image_id, size)
        case "objects":
            return shade_objects(read_entry(artifact, layer.array, image_id))
        case "light":
            return _spread_cells(artifact, np.rint(PARTS * read_entry(artifact, layer.array, image_id).astype(np.float32)), size)
        case "ways":
            return _spread_cells(artifact, colour_ways(read_entry(artifact, layer.array, image_id).astype(np.float32)), size)
        case _:
            return read_entry(artifact, layer.array, image_id)


def cut_tree(artifact: Artifact, image_id: str, size: Size) -> RegionMap:
    """The last regions that were merged."""
    children, costs = (read_entry(artifact, name, image_id) for name in ("children", "costs"))
    regions = ClickTree.of_maps(children, costs, int(artifact.array("patch_size")), str(artifact.array("alignment")), size)
    return regions.tree.cut(REGIONS)[regions.patches]


def read_maps(artifact: Artifact, layer: Layer, image_id: str, classes: Sequence[int] | None) -> npt.NDArray[Any]:
    """A layer as it is drawn: the maps of some classes, one after the other, or where none are named what `read_layer` gives."""
    if classes is None:
        return read_layer(artifact, layer, image_id)
    maps = [read_layer(artifact, layer, image_id, class_id=one) for one in classes]
    return np.stack(maps) if maps else np.zeros((0, *artifact.size(image_id)), np.uint8)


def shade_objects(objects: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Objects as shares of 255: all of it where something is, half where that is unknown."""
    return np.asarray(np.select([objects == OBJECT, objects == IGNORE], [PARTS, PARTS // 2]), np.uint8)


def _spread_cells(artifact: Artifact, content: npt.NDArray[Any], size: Size) -> npt.NDArray[np.uint8]:
    """Bytes of cells (y, x, ...) at the size of the image."""
    edge = int(artifact.array("cell_size"))
    return content.astype(np.uint8).repeat(edge, axis=0)[: size[0]].repeat(edge, axis=1)[:, : size[1]]


def colour_ways(ways: npt.NDArray[np.float32]) -> Image:
    """Rows and columns to go (2, y, x) as colours: the hue is the direction, and the longer the way, the brighter it is."""
    length, angle = np.hypot(*ways), np.arctan2(*ways)
    longest = max(float(np.percentile(length, 100 - OUTERMOST)), float(np.finfo(np.float32).tiny))
    hue, bright = (angle / (2 * np.pi)) % 1, np.clip(length / longest, 0, 1)
    hsv = np.stack([hue, np.ones_like(hue), bright], axis=-1)
    return np.asarray(cv2.cvtColor(np.rint(PARTS * hsv).astype(np.uint8), cv2.COLOR_HSV2RGB_FULL), np.uint8)


def colour_features(artifact: Artifact, image_id: str, size: Size) -> Image:
    """Features as colours: how far each patch lies along the three directions in which the image's patches differ most."""
    patches = read_patches(artifact, image_id)
    rows, columns, channels = patches.values.shape
    vectors = patches.values.reshape(rows * columns, channels)
    along = PrincipalComponents.fit([vectors], DIRECTIONS).project(vectors)
    along = np.pad(along, ((0, 0), (0, DIRECTIONS - along.shape[1])))
    low, high = np.percentile(along, [OUTERMOST, 100 - OUTERMOST], axis=0)
    shares = np.clip((along - low) / np.maximum(high - low, np.finfo(np.float32).tiny), 0, 1)
    colours = np.rint(PARTS * shares).astype(np.uint8).reshape(rows, columns, DIRECTIONS)
    return np.stack([patches.on_pixels(colours[..., channel], size) for channel in range(DIRECTIONS)], axis=-1)
