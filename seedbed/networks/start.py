"""What earlier stages have made that a training is given, beside its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from seedbed.errors import WeightsError
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import State
from seedbed.networks.weights import fit_entries
from seedbed.store.artifact import Artifact

TRUNK = "backbone.trunk."  # prefix of the timm network's entries in the state of one of our networks


@dataclass(frozen=True)
class InitialTrunk:
    """The trunk of a classifier as the start of another network."""

    trunk: Trunk
    classifier: Artifact

    def key(self, image_id: str) -> str:
        """Identity of its weights, the same for all images."""
        return self.classifier.weights_digest

    def state(self) -> State:
        """State of the trunk."""
        where, network = str(self.classifier.path), self.classifier.made_by.parameters.get("backbone", {}).get("network")
        if network != self.trunk.network:
            raise WeightsError(
                where,
                found=f"weights of the network {network!r}",
                expected=f"{self.trunk.network!r}, which is to start from them",
                do="name the same network for both in params.yaml",
            )
        weights = self.classifier.weights().items()
        entries = {name.removeprefix(TRUNK): torch.from_numpy(np.array(value)) for name, value in weights if name.startswith(TRUNK)}
        return fit_entries(self.trunk.build().trunk, entries, where=where)


class Part(Protocol):
    """One thing that a training is given."""

    def key(self, image_id: str) -> str:
        """Its identity, the same for all images."""

    def state(self) -> State:
        """Its tensors, by name."""


@dataclass(frozen=True)
class Given:
    """What a training is given beside its samples, by slot."""

    parts: Mapping[str, Part] = field(default_factory=dict)

    @classmethod
    def start(cls, trunk: Trunk | None, classifier: Artifact | None) -> Given:
        """The trunk of a classifier as the start, where there is one."""
        return cls() if trunk is None or classifier is None else cls({"start": InitialTrunk(trunk, classifier)})

    def key(self, image_id: str) -> str:
        """Identity of all of it, the same for all images; empty where there is nothing."""
        return " ".join(part.key(image_id) for part in self.parts.values())

    def states(self) -> dict[str, State]:
        """Tensors by name, of each slot."""
        return {slot: part.state() for slot, part in self.parts.items()}
