"""Superpixels: each image divided into regions that show one thing."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from seedbed import methods
from seedbed.types import Image, PatchFeatures, RegionMap


class Method(methods.Method):
    """A partition of one image."""

    needs_features: ClassVar[bool] = True  # else it gets features without channels, and a change of features reruns nothing

    @abstractmethod
    def segment(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        """Region of every pixel: 0..n-1, each used; a region may consist of several pieces."""

    def partition(self, image: Image, patches: PatchFeatures, *, device: str = "cpu") -> RegionMap:
        """Segment an image and check the result against the contract: later stages would take an empty region for a real one."""
        regions = self.segment(image, patches, device=device)
        sizes = np.bincount(regions.ravel()) if regions.min() >= 0 else np.zeros(1)
        if regions.shape != image.shape[:2] or not sizes.all():
            raise ValueError(f"superpixels.{self.name}: regions of {regions.shape} with numbers left out, for an image of {image.shape}")
        return regions
