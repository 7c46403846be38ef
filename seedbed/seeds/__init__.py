"""Seeds: labels for the few pixels that are certain."""

from __future__ import annotations

from abc import abstractmethod

from seedbed import methods
from seedbed.types import ClassMaps, LabelMap, RegionMap


class Method(methods.Method):
    """From class maps and regions to partial labels."""

    @abstractmethod
    def label(self, class_maps: ClassMaps, regions: RegionMap) -> LabelMap:
        """Labels of the image's classes and background; 255 where nothing is certain. Maps have the image's size."""

    def explain(self, class_maps: ClassMaps, regions: RegionMap) -> list[str]:
        """Why each region became what it is, in words, in the order of their numbers; empty where regions play no part."""
        return []
