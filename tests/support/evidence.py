"""What is known of an image, where most of it plays no part."""

from __future__ import annotations

import numpy as np

from seedbed.types import CellEdges, ClassMaps, Evidence, Image, PatchFeatures, RegionMap

NO_FEATURES = PatchFeatures.empty()
NO_EDGES = CellEdges.empty()
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


def evidence(
    image: Image,
    class_maps: ClassMaps,
    regions: RegionMap | None = None,
    patches: PatchFeatures = NO_FEATURES,
    edges: CellEdges = NO_EDGES,
) -> Evidence:
    """Without regions, all of the image is one."""
    return Evidence(image, class_maps, np.zeros(image.shape[:2], np.int32) if regions is None else regions, patches, edges)


def scored(class_maps: ClassMaps, regions: RegionMap, patches: PatchFeatures = NO_FEATURES) -> Evidence:
    """For methods that do not look at the image."""
    return Evidence(NO_PIXELS, class_maps, regions, patches, NO_EDGES)
