"""What a training starts from besides its parameters."""

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

TRUNK = "backbone.trunk."  # before the names of a network of timm within one of ours


@dataclass(frozen=True)
class InitialTrunk:
    """What a training starts from besides its parameters: the trunk of the classifier, where they say so."""

    trunk: Trunk
    given: Artifact  # the classifier; nothing where that is not wanted

    @property
    def wanted(self) -> bool:
        """Whether the trunk starts from what is given."""
        return self.trunk.initial_weights.source == CLASSIFIER

    def key(self, image: str) -> str:
        """Identity of the weights that it starts from; empty where these follow from the parameters."""
        return self.given.weights_digest if self.wanted else ""

    def state(self) -> State:
        """The state to start from; empty where it comes from elsewhere."""
        if not self.wanted:
            return {}
        where, network = str(self.given.path), self.given.made_by.parameters.get("backbone", {}).get("network")
        if network != self.trunk.network:
            raise WeightsError(
                where,
                found=f"weights of the network {network!r}",
                expected=f"{self.trunk.network!r}, which is to start from them",
                do="name the same network for both in params.yaml",
            )
        weights = self.given.weights().items()
        entries = {name.removeprefix(TRUNK): torch.from_numpy(np.array(value)) for name, value in weights if name.startswith(TRUNK)}
        return fit_entries(self.trunk.build().trunk, entries, where=where)


@dataclass(frozen=True)
class Given:
    """What a training is given of earlier ones, by slot."""

    trunks: Mapping[str, InitialTrunk] = field(default_factory=dict)

    def key(self, image_id: str) -> str:
        """Identity of all of it, the same for all images; empty where nothing is given."""
        return " ".join(key for trunk in self.trunks.values() if (key := trunk.key(image_id)))

    def states(self) -> dict[str, State]:
        """States of networks, by slot; of slots that are not used, nothing."""
        return {slot: trunk.state() for slot, trunk in self.trunks.items() if trunk.wanted}
