"""Patch features: one vector per square patch, alike where the image shows the same thing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from seedbed import methods
from seedbed.types import Image, PatchFeatures


class Method(methods.Method):
    """A frozen description of patches; nothing is trained here."""

    patch_size: int  # edge of a patch, in pixels

    @property
    @abstractmethod
    def num_channels(self) -> int:
        """Length of a feature vector."""

    @abstractmethod
    def describe(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Features of images of any sizes; each is the same whatever other images stand beside it."""
