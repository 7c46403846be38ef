"""No edges, for masks that need none. The artifact is empty and takes no time.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seedbed import edges
from seedbed.methods import method
from seedbed.types import CellEdges, Image


@method
class Nothing(edges.Method):
    makes_nothing: ClassVar[bool] = True

    def find(self, network: Any, images: Sequence[Image], *, device: str) -> list[CellEdges]:
        return []
