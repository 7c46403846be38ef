"""Superpixels: each image divided into regions that show one thing."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np

from seedbed import methods
from seedbed.methods import parameters
from seedbed.run.slots import Slot
from seedbed.types import Image, PatchFeatures, RegionMap


@parameters
class Settings:
    """What regions are made from, beside images."""

    features: Annotated[str, Slot(("features",), "the selected method needs features")]  # by which pixels are grouped


class Method(methods.Method):
    """A partition of one image."""

    needs_features: ClassVar[bool] = True  # else it gets features without channels

    @property
    def unread(self) -> tuple[str, ...]:
        return () if self.needs_features else ("features",)

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
