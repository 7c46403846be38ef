"""A network that is used as it is: built once per process, wherever the work runs. No torch is imported for what runs none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from seedbed.methods import Method, identity

_LOADED: dict[str, Any] = {}


@dataclass(frozen=True)
class Frozen:
    """A method's network. It travels as the method's parameters."""

    method: Method
    device: str  # changes no result, so it is no part of the identity

    def key(self, image: str) -> str:
        """Nothing more than the method's parameters, which are part of the recipe."""
        return ""

    def loaded(self) -> Any:
        """The network on its device, or None where the method runs none."""
        builder: Any = self.method
        place = json.dumps([type(builder).__module__, identity(builder), self.device])
        if place not in _LOADED:
            network = builder.network()
            _LOADED.clear()  # one at a time
            _LOADED[place] = None if network is None else network.to(self.device).eval()
        return _LOADED[place]
