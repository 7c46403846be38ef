"""No affinities are learned, for pipelines whose masks need none.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from typing import ClassVar

from seedbed import affinity
from seedbed.methods import method


@method
class Nothing(affinity.Method):
    makes_nothing: ClassVar[bool] = True
    stride = 1
