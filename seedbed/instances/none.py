"""Things are not told apart. The artifact is empty and takes no time.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from seedbed import instances
from seedbed.methods import method
from seedbed.types import Evidence, Instances


@method
class Nothing(instances.Method):
    makes_nothing: ClassVar[bool] = True

    @property
    def unread(self) -> tuple[str, ...]:
        return ("class_maps", "superpixels", "edges")

    def part(self, known: Sequence[Evidence], *, device: str = "cpu") -> list[Instances]:
        return [Instances.empty(one.size) for one in known]
