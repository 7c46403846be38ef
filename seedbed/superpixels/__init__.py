"""Superpixels: each image divided into regions that show one thing."""

from __future__ import annotations

from abc import abstractmethod

from seedbed import methods
from seedbed.types import Image, PatchFeatures, RegionMap


class Method(methods.Method):
    """A partition of one image."""

    @abstractmethod
    def segment(self, image: Image, patches: PatchFeatures) -> RegionMap:
        """Region of every pixel: 0..n-1, each used; a region may consist of several pieces."""
