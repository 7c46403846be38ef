"""The network of a method of `features`: built once per process, wherever the work runs. No torch is imported where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.algorithms.resizing import resize
from seedbed.errors import ParamsError
from seedbed.methods import identity
from seedbed.store.artifact import Artifact
from seedbed.types import Alignment, Entry, Image, PatchFeatures, Size, cells

_LOADED: dict[str, Any] = {}
TOLERANCE = 1e-4  # of the pixels that a patch covers, because a scale may be a rounded fraction


@dataclass(frozen=True)
class FeatureNetwork:
    """What describes images: a method with its network, and how images are shown to it. It travels as parameters."""

    method: Any  # of the family `features`
    device: str  # changes no result, so it is no part of the identity
    pretraining: Artifact | None  # whose weights the network has, if not its own
    scale: float = 1.0  # by which images are resized first
    mirrored: bool = False  # whether they are mirrored first

    def check(self, stage: str) -> None:
        """Refuse ways of showing images that the method does not allow.

        stage: whose parameters they are.
        """
        if self.method.makes_nothing:
            return
        covered = self.method.patch_size / self.scale
        if abs(covered - round(covered)) > TOLERANCE * covered:
            raise ParamsError(
                f"params.yaml: {stage}.scale",
                found=f"{self.scale:g}, with which a patch of {self.method.patch_size} covers {covered:.4g} pixels",
                expected="a whole number of pixels",
                do="correct one of the two",
            )
        if self.mirrored and self.method.alignment is not Alignment.RESIZED:
            raise ParamsError(
                f"params.yaml: {stage}.mirrored",
                found=f"True for features.{self.method.name}, which pads images at one side",
                expected="False, or a method that resizes them",
                do="correct one of the two",
            )

    @property
    def patch_size(self) -> int:
        """Edge of a patch, in pixels of the image as it is."""
        edge: int = max(1, round(self.method.patch_size / self.scale))
        return edge

    def extents(self, max_size: Size) -> dict[str, int]:
        """The largest grid of patches, and the length of a vector.

        max_size: of images.
        """
        extents: dict[str, int] = self.method.extents(self._resized(max_size))
        return extents

    def _resized(self, size: Size) -> Size:
        """The size that images of a size are shown in: that of whole patches, where the method would resize them to these anyway."""
        if self.scale == 1:
            return size
        if self.method.alignment is Alignment.RESIZED:
            rows, columns = cells(size, self.patch_size)
            return rows * self.method.patch_size, columns * self.method.patch_size
        height, width = (-(-length * self.method.patch_size // self.patch_size) for length in size)
        return height, width

    def key(self, image_id: str) -> str:
        """Identity of what does not follow from the method's parameters, the same for all images."""
        return json.dumps([self.scale, self.mirrored, "" if self.pretraining is None else self.pretraining.weights_digest])

    def describe(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Features of images of any sizes; each is the same whatever other images stand beside it."""
        shown = [self._show(image) for image in images]
        described: list[PatchFeatures] = self.method.describe(shown, self.load(), device=self.device)
        return [replace(one, values=self._turn(one.values), patch_size=self.patch_size) for one in described]

    def _show(self, image: Image) -> Image:
        return self._turn(resize(image, self._resized((image.shape[0], image.shape[1])), interpolation="antialiased_cubic"))

    def _turn(self, pixels: npt.NDArray[Entry]) -> npt.NDArray[Entry]:
        return np.ascontiguousarray(pixels[:, ::-1]) if self.mirrored else pixels

    def exportable(self) -> Any:
        """The same within torch alone, as a module from images (B, C, Y, X) to vectors (B, D, y, x); None if it has no such form."""
        return None if self.mirrored else self.method.exportable(self.load(), scale=self.scale)

    def load(self) -> Any:
        """The network on its device, or None where the method runs none."""
        weights = "" if self.pretraining is None else self.pretraining.weights_digest
        place = json.dumps([type(self.method).__module__, identity(self.method), self.device, weights])
        if place not in _LOADED:
            network = self.method.network()
            if self.pretraining is not None:
                from seedbed.networks.weights import restore

                restore(network.trunk, self.pretraining, device="cpu")
            _LOADED.clear()  # one at a time
            _LOADED[place] = None if network is None else network.to(self.device).eval()
        return _LOADED[place]
