"""What is known of an image, where most of it plays no part."""

from __future__ import annotations

import numpy as np

from seedbed.refinement import Evidence
from seedbed.types import ClassMaps, Image, PatchFeatures, RegionMap

NO_FEATURES = PatchFeatures.empty()


def evidence(image: Image, class_maps: ClassMaps, regions: RegionMap | None = None, patches: PatchFeatures = NO_FEATURES) -> Evidence:
    """Without regions, all of the image is one."""
    return Evidence(image, class_maps, np.zeros(image.shape[:2], np.int32) if regions is None else regions, patches)
