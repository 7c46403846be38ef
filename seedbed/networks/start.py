"""Networks of earlier stages that a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from seedbed.errors import WeightsError
from seedbed.networks.backbones import Trunk
from seedbed.networks.contracts import State
from seedbed.networks.weights import fit_entries
from seedbed.run.slots import CLASSIFIER
from seedbed.store.artifact import Artifact

TRUNK = "backbone.trunk."  # prefix of the timm network's entries in the state of one of our networks


@dataclass(frozen=True)
class InitialTrunk:
    """The trunk of the classifier as the start of another network, where the parameters ask for it."""

    trunk: Trunk
    classifier: Artifact  # `none` where it is not wanted

    @property
    def wanted(self) -> bool:
        """Whether the parameters ask for it."""
        return self.trunk.initial_weights.source == CLASSIFIER

    def key(self, image_id: str) -> str:
        """Identity of its weights, the same for all images; empty where it is not wanted."""
        return self.classifier.weights_digest if self.wanted else ""

    def state(self) -> State:
        """State of the trunk; empty where it is not wanted."""
        if not self.wanted:
            return {}
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


@dataclass(frozen=True)
class Given:
    """Networks of earlier stages that a training is given, by slot."""

    trunks: Mapping[str, InitialTrunk] = field(default_factory=dict)

    def key(self, image_id: str) -> str:
        """Identity of all their weights, the same for all images; empty where there are none."""
        return " ".join(key for trunk in self.trunks.values() if (key := trunk.key(image_id)))

    def states(self) -> dict[str, State]:
        """States of those that are wanted, by slot."""
        return {slot: trunk.state() for slot, trunk in self.trunks.items() if trunk.wanted}
