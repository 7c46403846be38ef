"""Nothing is learned: features come from a network that somebody else has trained, or from none.

Paper: none.

Differs from the paper: not applicable.
"""

from __future__ import annotations

from typing import ClassVar

from seedbed import pretraining
from seedbed.methods import method


@method
class Nothing(pretraining.Method):
    makes_nothing: ClassVar[bool] = True
