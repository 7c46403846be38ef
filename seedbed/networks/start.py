"""What earlier stages have made that a training is given, beside its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from seedbed.errors import WeightsError
from seedbed.methods import Method
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import ClassifierNetwork, Inherited, State
from seedbed.networks.inference import TrainedNetwork
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
    """What a training is given beside its samples."""

    parts: Mapping[str, Part] = field(default_factory=dict)  # by slot
    classifier: TrainedNetwork[ClassifierNetwork] | None = None

    @classmethod
    def start(cls, trunk: Trunk | None, start: Artifact | None, classifier: TrainedNetwork[ClassifierNetwork] | None = None) -> Given:
        """The trunk of a classifier as the start, where there is one.

        start: the classifier's artifact; classifier: another network that is given, if there is one.
        """
        return cls({} if trunk is None or start is None else {"start": InitialTrunk(trunk, start)}, classifier)

    @property
    def method(self) -> Method | None:
        """The method that trained the classifier, if one is given."""
        return None if self.classifier is None else self.classifier.method

    def key(self, image_id: str) -> str:
        """Identity of all of it, the same for all images; empty where there is nothing."""
        return " ".join(one.key(image_id) for one in (*self.parts.values(), self.classifier) if one is not None)

    def load(self) -> Inherited:
        """What is known of it by weights."""
        states = {slot: part.state() for slot, part in self.parts.items()}
        return Inherited(states, None if self.classifier is None else self.classifier.load())
