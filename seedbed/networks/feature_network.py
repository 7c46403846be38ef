"""The network of a method of `features`: built once per process, wherever the work runs. No torch is imported where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.methods import identity
from seedbed.store.artifact import Artifact
from seedbed.types import Image, PatchFeatures

_LOADED: dict[str, Any] = {}


@dataclass(frozen=True)
class FeatureNetwork:
    """A method's network. It travels as the method's parameters."""

    method: Any  # of the family `features`
    device: str  # changes no result, so it is no part of the identity
    pretraining: Artifact | None  # whose weights the network has, if not its own

    def key(self, image_id: str) -> str:
        """Identity of weights that do not follow from the method's parameters, the same for all images; else empty."""
        return "" if self.pretraining is None else self.pretraining.weights_digest

    def describe(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Features of images of any sizes; each is the same whatever other images stand beside it."""
        described: list[PatchFeatures] = self.method.describe(images, self.load(), device=self.device)
        return described

    def load(self) -> Any:
        """The network on its device, or None where the method runs none."""
        place = json.dumps([type(self.method).__module__, identity(self.method), self.device, self.key("")])
        if place not in _LOADED:
            network = self.method.network()
            if self.pretraining is not None:
                from seedbed.networks.weights import restore

                restore(network.trunk, self.pretraining, device="cpu")
            _LOADED.clear()  # one at a time
            _LOADED[place] = None if network is None else network.to(self.device).eval()
        return _LOADED[place]
